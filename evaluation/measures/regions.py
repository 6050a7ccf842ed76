"""Voxels that calibration looks at: the whole image, a box, or a band along borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.measures.boxes import box_of, neighbour_slices
from evaluation.settings import Region

Mask = npt.NDArray[np.bool_]


def region_masks(
    labels: npt.NDArray[Any], names: Sequence[Region], margin: int, ignore: int | None = None
) -> dict[Region, Mask | None]:
    """Mask of each region of a reference label map; None: every voxel.

    Args:
        labels: [z, y, x] or [y, x].
        names: Among image, box and band.
        margin: Voxels around the box, and around borders between labels.
        ignore: Value of voxels that nobody labelled: neither they nor their border are one.
    """
    result: dict[Region, Mask | None] = {}
    for name in names:
        if name == "image":
            result[name] = None
        elif name == "box":
            result[name] = _box(labels, margin, ignore)
        else:
            result[name] = _band(labels, margin, ignore)
    return result


def _box(labels: npt.NDArray[Any], margin: int, ignore: int | None) -> Mask:
    mask = np.zeros(labels.shape, dtype=bool)
    box = box_of(labels > 0 if ignore is None else (labels > 0) & (labels != ignore))
    if all(side.stop > side.start for side in box):
        mask[tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in box)] = True
    return mask


def _band(labels: npt.NDArray[Any], margin: int, ignore: int | None) -> Mask:
    """Voxels within a number of steps (along the axes, one after the other) of a border."""
    band = np.zeros(labels.shape, dtype=bool)
    for axis in range(labels.ndim):
        low, high = neighbour_slices(labels.ndim, axis)
        differs = labels[low] != labels[high]
        if ignore is not None:
            differs &= (labels[low] != ignore) & (labels[high] != ignore)
        band[low] |= differs
        band[high] |= differs
    for axis in range(labels.ndim):
        grown = band.copy()
        for step in range(1, min(margin, labels.shape[axis] - 1)):
            low, high = neighbour_slices(labels.ndim, axis, step)
            grown[low] |= band[high]
            grown[high] |= band[low]
        band = grown
    return band
