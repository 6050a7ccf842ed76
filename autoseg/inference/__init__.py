"""Sliding windows and predictions."""
