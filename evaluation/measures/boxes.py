"""Boxes of masks, and the parts of an array that lie next to each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, ...]


def neighbour_slices(
    dimensions: int, axis: int, step: int = 1
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Index of all voxels that have a neighbour so many steps on along an axis, and of those."""
    low, high = [slice(None)] * dimensions, [slice(None)] * dimensions
    low[axis], high[axis] = slice(None, -step), slice(step, None)
    return tuple(low), tuple(high)


def box_of(mask: Mask) -> Box:
    """Smallest box around a mask; an empty box where it has no voxel."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        found = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0))
    return tuple(box)


def boxes_of(labels: npt.NDArray[np.integer]) -> dict[int, Box]:
    """Box of every non-zero value of a label map."""
    if labels.size == 0:
        return {}
    if labels.min() >= 0 and labels.max() < 1 << 16:
        found = ndimage.find_objects(labels)
        return {value: box for value, box in enumerate(found, 1) if box is not None}
    return {int(value): box_of(labels == value) for value in np.unique(labels) if value}
