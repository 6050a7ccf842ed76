"""Images in all formats: arrays (c, z, y, x) with a Geometry."""
