"""Recipes and golden plans: data, no code."""
