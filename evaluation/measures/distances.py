"""Distances from one set of grid points to the nearest of another, exact to the last digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

SMALL_GRID = 1 << 17
"""Up to here a Euclidean distance transform of the whole grid is fast, and what others use."""
REACH = 10
"""Voxels (of the finest axis) within which neighbours are looked for."""
STEP_COST = 1000
"""What a step of the walk costs besides its points, in points."""
TREE_COST = 50
"""What a target costs in a k-d tree, in points of the walk: with more, the tree is asked."""


def walking_margin(shape: Sequence[int], spacing_mm: Sequence[float]) -> tuple[int, ...]:
    """Free space behind each axis of a grid that `nearest_distances` needs; none for small grids.

    A step beyond the end of a row then lands in free space of this row or of the one before.
    """
    if math.prod(shape) <= SMALL_GRID:
        return (0,) * len(shape)
    offsets, _ = _ball(tuple(float(step) for step in spacing_mm))
    return tuple(int(reach) for reach in np.abs(offsets).max(axis=0))


def nearest_distances(
    points: npt.NDArray[np.intp],
    targets: npt.NDArray[np.intp],
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    margin: Sequence[int],
) -> npt.NDArray[np.float64]:
    """Distance of every point to the nearest target.

    Large grids never get a distance transform: most points of two similar surfaces are neighbours,
    which a walk over offsets of growing length finds; the others ask a k-d tree for the nearest
    target, whose distance is then computed from the integer offset as everywhere else.

    Args:
        points: [n] flat indices into a grid.
        targets: [m] flat indices into the same grid, at least one.
        shape: Shape of the grid, its margin included.
        spacing_mm: Per axis.
        margin: See `walking_margin`; all 0: the grid is small and has none.

    Returns:
        [n] distances in mm.
    """
    if not any(margin):
        away = np.ones(tuple(shape), dtype=bool)
        away.ravel()[targets] = False
        field = ndimage.distance_transform_edt(away, sampling=spacing_mm)
        return np.asarray(field.ravel()[points], dtype=np.float64)
    result = np.empty(len(points))
    rest = _walk(points, targets, shape, spacing_mm, result)
    if len(rest):
        far = np.stack(np.unravel_index(points[rest], tuple(shape)), axis=1)
        near = np.stack(np.unravel_index(targets, tuple(shape)), axis=1)
        scale = np.asarray(spacing_mm, dtype=np.float64)
        _, index = cKDTree(near * scale, balanced_tree=False).query(far * scale)
        result[rest] = _length((far - near[index]).T, spacing_mm)
    return result


def _walk(
    points: npt.NDArray[np.intp],
    targets: npt.NDArray[np.intp],
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    result: npt.NDArray[np.float64],
) -> npt.NDArray[np.intp]:
    """Fills in the distances of points with a target close by; returns the other points' places."""
    offsets, lengths = _ball(tuple(float(value) for value in spacing_mm))
    strides = np.cumprod((1, *tuple(shape)[:0:-1]))[::-1]
    steps = (offsets * strides).sum(axis=1)
    is_target = np.zeros(math.prod(shape), dtype=bool)
    is_target[targets] = True
    at, rest = points, np.arange(len(points))
    budget = TREE_COST * len(targets)
    for step, length in zip(steps, lengths, strict=True):
        if not len(rest) or budget < 0:
            break
        # Before the first row lies, as numpy counts from the end, the margin behind the last one.
        hit = is_target.take(at + step)
        result[rest[hit]] = length
        missed = ~hit
        rest, at = rest[missed], at[missed]
        budget -= STEP_COST + len(rest)
    return rest


@lru_cache(maxsize=64)
def _ball(spacing_mm: tuple[float, ...]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """All offsets up to a length, shortest first, and their lengths in mm."""
    radius = REACH * min(spacing_mm)
    ranges = [np.arange(-int(radius / step), int(radius / step) + 1) for step in spacing_mm]
    offsets = np.stack([axis.ravel() for axis in np.meshgrid(*ranges, indexing="ij")], axis=1)
    lengths = _length(offsets.T, spacing_mm)
    inside = lengths <= radius
    order = np.argsort(lengths[inside], kind="stable")
    return offsets[inside][order], lengths[inside][order]


def _length(
    offsets: Sequence[npt.NDArray[np.intp]] | npt.NDArray[np.intp], spacing_mm: Sequence[float]
) -> npt.NDArray[np.float64]:
    total = np.zeros(len(offsets[0]))
    for offset, step in zip(offsets, spacing_mm, strict=True):
        total += (offset * step) ** 2
    return np.sqrt(total)
