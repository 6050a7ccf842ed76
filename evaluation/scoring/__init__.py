"""Scores one case at a time, with metrics of the table or as a challenge does."""
