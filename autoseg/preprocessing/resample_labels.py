"""Resampling of label maps: every label linearly, a voxel goes to what covers most of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from autoseg.preprocessing.resample import apply_axis, interpolation_matrix, nearest_index

Labels = npt.NDArray[np.integer]
EQUAL = 1e-6
"""Difference of shares in float32 below which they may be equal."""


def resample_labels(
    labels: Labels, shape: Sequence[int], *, coarse: int | None = None, nearest_ties: bool = False
) -> Labels:
    """Resamples a label map.

    Args:
        labels: [z, y, x] indices.
        shape: Wanted shape.
        coarse: Axis that is resampled by nearest neighbour, see `coarse_axis`.
        nearest_ties: Where two labels cover exactly as much of a voxel in float64, it goes to the
            one at the nearest old voxel, if it is one of them (nnU-Net's rule, by batchgenerators
            0.25.5), and not to the lower index.

    Returns:
        [*shape] of the same type.
    """
    if tuple(labels.shape) == tuple(shape):
        return labels
    best = np.zeros(tuple(shape), dtype=np.float32)
    second = np.zeros_like(best) if nearest_ties else None
    result = np.zeros(tuple(shape), dtype=labels.dtype)
    for value, box in _boxes(labels):
        new_box = tuple(
            _reach(part, old, new) for part, old, new in zip(box, labels.shape, shape, strict=True)
        )
        cover = (labels[box] == value).astype(np.float32)
        for axis in range(3):
            old, new = labels.shape[axis], shape[axis]
            if old == new:
                continue
            matrix = interpolation_matrix(old, new, 0 if axis == coarse else 1)
            cover = apply_axis(cover, matrix[new_box[axis], box[axis]], axis)
        here = best[new_box]
        if second is not None:
            second[new_box] = np.maximum(second[new_box], np.minimum(cover, here))
        better = cover > here
        here[better] = cover[better]
        result[new_box][better] = value
    if second is not None:
        close = np.nonzero(best - second < EQUAL)
        result[close] = _decide(labels, shape, coarse, close)
    return result


def _decide(
    labels: Labels, shape: Sequence[int], coarse: int | None, places: tuple[npt.NDArray[Any], ...]
) -> Labels:
    """Labels of some new voxels, by shares that are rounded as scipy's interpolation rounds them.

    Args:
        labels: [z, y, x].
        shape: New shape.
        coarse: See `resample_labels`.
        places: Indices of the voxels, [n] per axis.

    Returns:
        [n].
    """
    taps, nearest = [], []
    for axis, place in enumerate(places):
        size, new_size = labels.shape[axis], shape[axis]
        close = nearest_index(size, new_size)[place]
        nearest.append(close)
        if axis == coarse:
            taps.append([(close, np.ones(len(place)))])
            continue
        centre = np.clip((place + 0.5) * (size / new_size) - 0.5, 0, size - 1)
        low = np.floor(centre).astype(np.int64)
        first = 1 - (centre - low)
        taps.append([(low, first), (np.minimum(low + 1, size - 1), 1 - first)])
    corners = [
        (labels[z, y, x], (along * down) * across)
        for (z, along), (y, down), (x, across) in product(*taps)
    ]
    at_nearest = labels[tuple(nearest)]
    result: Labels = at_nearest.copy()
    best = _share(corners, at_nearest)
    strictly = np.zeros(len(best), dtype=bool)  # the nearest one has less than another
    for candidate, _ in corners:
        share = _share(corners, candidate)
        wins = (share > best) | (strictly & (share == best) & (candidate < result))
        strictly |= share > best
        result[wins], best[wins] = candidate[wins], share[wins]
    return result


def _share(
    corners: Sequence[tuple[Labels, npt.NDArray[np.float64]]], label: Labels
) -> npt.NDArray[np.float64]:
    """How much of each voxel its label covers, added up corner by corner."""
    total = np.zeros(len(label))
    for value, weight in corners:
        total += np.where(value == label, weight, 0.0)
    return total


def _boxes(labels: Labels) -> list[tuple[int, tuple[slice, ...]]]:
    """Each value with its bounding box; the background has the whole volume."""
    from scipy import ndimage

    boxes: list[tuple[int, tuple[slice, ...]]] = []
    if (labels == 0).any():
        boxes.append((0, tuple(slice(0, size) for size in labels.shape)))
    for index, box in enumerate(ndimage.find_objects(labels.astype(np.int32, copy=False))):
        if box is not None:
            boxes.append((index + 1, box))
    return boxes


def _reach(part: slice, old: int, new: int) -> slice:
    """New voxels that a linear interpolation from the old ones in `part` can touch."""
    if old == new:
        return part
    factor = new / old
    low = int(np.floor((part.start - 1 + 0.5) * factor - 0.5))
    high = int(np.ceil((part.stop + 0.5) * factor - 0.5)) + 1
    return slice(max(low, 0), min(high, new))
