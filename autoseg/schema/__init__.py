"""Value objects and their files."""
