"""What metrics are computed from: counts, surfaces, lesions, raters, once per class."""
