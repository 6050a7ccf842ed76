"""Data sets: what there is, whether it is right, what it measures."""
