"""From tiles to a label map, without an array of all classes at the resolution of the image."""
