"""Planes of two-dimensional networks, and how many slices a 2.5-dimensional one sees."""

from __future__ import annotations

from collections.abc import Sequence

from autoseg.planning.planners.request import PLANES
from autoseg.schema.orientation import Orientation, world_axes

CONTEXT = 2.0
"""Distance to the farthest neighbouring slice, in voxels of the plane."""
MAX_NEIGHBOURS = 4


def find_planes(orientation: Orientation, transpose: Sequence[int]) -> dict[str, int]:
    """Axis of the transposed image that each anatomical plane cuts.

    Args:
        orientation: To which all cases are turned.
        transpose: Axis order of the configurations.
    """
    world = world_axes(orientation)
    return {plane: list(transpose).index(world.index(axis)) for plane, axis in PLANES.items()}


def count_slices(spacing: Sequence[float], slice_axis: int) -> int:
    """Slices that a network sees: neighbours within two voxels of the plane, at least one.

    Args:
        spacing: Of the transposed image.
        slice_axis: Axis along which the slices lie.
    """
    in_plane = min(step for axis, step in enumerate(spacing) if axis != slice_axis)
    neighbours = round(CONTEXT * in_plane / spacing[slice_axis])
    return 2 * min(max(neighbours, 1), MAX_NEIGHBOURS) + 1
