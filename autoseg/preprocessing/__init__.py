"""From image files to network input, and back."""
