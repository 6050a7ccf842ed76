"""Models of other programs as ours, and back."""
