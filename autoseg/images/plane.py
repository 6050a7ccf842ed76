"""The geometry of 2D pictures, which have no spacing."""

from __future__ import annotations

from autoseg.schema.geometry import Geometry

NO_SPACING = (999.0, 1.0, 1.0)
"""Spacing (z, y, x) of 2D images, whose slice axis means nothing."""


def plane_geometry(height: int, width: int) -> Geometry:
    """Geometry of a picture of some rows and columns."""
    return Geometry(
        shape=(1, height, width),
        spacing_mm=NO_SPACING,
        origin_mm=(0.0, 0.0),
        direction=(1.0, 0.0, 0.0, 1.0),
        dimensions=2,
    )
