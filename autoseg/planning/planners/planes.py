"""Planes of two-dimensional networks, and how many slices a 2.5-dimensional one sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from autoseg.planning.planners.request import PLANES
from autoseg.schema.fingerprint import Fingerprint

CONTEXT = 2.0
"""Distance to the farthest neighbouring slice, in voxels of the plane."""
MAX_NEIGHBOURS = 4
_OPPOSITE = {"R": "L", "A": "P", "I": "S"}


def find_planes(
    fingerprint: Fingerprint, transpose: Sequence[int], *, canonical: bool
) -> dict[str, int]:
    """Axis of the transposed image that each anatomical plane cuts, of most cases.

    Args:
        fingerprint: Has the orientation of every case.
        transpose: Axis order of the configurations.
        canonical: All cases were turned to LPS.
    """
    orientations = Counter(record.orientation for record in fingerprint.cases.values())
    letters = "LPS" if canonical else orientations.most_common(1)[0][0]
    world = [_OPPOSITE.get(letter, letter) for letter in reversed(letters)]  # of z, y, x
    return {plane: list(transpose).index(world.index(letter)) for plane, letter in PLANES.items()}


def count_slices(spacing: Sequence[float], slice_axis: int) -> int:
    """Slices that a network sees: neighbours within two voxels of the plane, at least one.

    Args:
        spacing: Of the transposed image.
        slice_axis: Axis along which the slices lie.
    """
    in_plane = min(step for axis, step in enumerate(spacing) if axis != slice_axis)
    neighbours = round(CONTEXT * in_plane / spacing[slice_axis])
    return 2 * min(max(neighbours, 1), MAX_NEIGHBOURS) + 1
