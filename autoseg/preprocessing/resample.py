"""Separable resampling in float32: one small matrix per axis instead of a spline over the volume.

Cubic B-spline and linear interpolation are products of one-dimensional operations, so that a
volume is resampled by one matrix product per axis. The values are those of
`skimage.transform.resize(order, mode="edge", anti_aliasing=False, clip=True)`, which is
`scipy.ndimage.zoom(grid_mode=True, mode="nearest")` with the range clipped to the input's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
ANISOTROPY = 3
"""Ratio of spacings above which the coarse axis is resampled apart, by nearest neighbour."""
NEGLIGIBLE = 1e-12
EDGE = 12
"""Voxels by which scipy extends the edge before its spline filter."""


def target_shape(
    shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]
) -> tuple[int, ...]:
    """Shape after resampling, rounded to the nearest voxel and at least 1."""
    return tuple(
        max(1, int(np.round(have / want * size)))
        for size, have, want in zip(shape, spacing, target, strict=True)
    )


def coarse_axis(spacing: Sequence[float], target: Sequence[float]) -> int | None:
    """The one axis that is resampled apart, or None (nnU-Net's rule).

    The current spacing decides, else the new one: where the largest exceeds the smallest more
    than threefold and exactly one axis has the largest.
    """
    for values in (spacing, target):
        if max(values) / min(values) > ANISOTROPY:
            axes = [axis for axis, value in enumerate(values) if value == max(values)]
            return axes[0] if len(axes) == 1 else None
    return None


@lru_cache(maxsize=256)
def interpolation_matrix(size: int, new_size: int, order: int) -> Floats:
    """Matrix [new_size, size] that resamples one axis.

    Args:
        size: Voxels before.
        new_size: Voxels after.
        order: 0 nearest, 1 linear, 3 cubic B-spline.
    """
    if size == new_size:
        return np.eye(size, dtype=np.float32)
    if order == 0:
        matrix = np.zeros((new_size, size), dtype=np.float32)
        matrix[np.arange(new_size), nearest_index(size, new_size)] = 1
        return matrix
    if order == 1:
        return _linear_matrix(size, new_size)
    return _cubic_matrix(_centres(size, new_size), size)


def nearest_index(size: int, new_size: int) -> npt.NDArray[np.int64]:
    """For each new voxel the old one whose centre is nearest (halves round up, as scipy)."""
    nearest = np.floor(_centres(size, new_size) + 0.5)
    index: npt.NDArray[np.int64] = np.clip(nearest, 0, size - 1).astype(np.int64)
    return index


def _centres(size: int, new_size: int) -> npt.NDArray[np.float64]:
    """Where the centres of new voxels lie on the old axis."""
    return (np.arange(new_size, dtype=np.float64) + 0.5) * (size / new_size) - 0.5


def linear_taps(size: int, new_size: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """For each new voxel the old one before it, and the share of the one after that."""
    clipped = np.clip(_centres(size, new_size), 0, size - 1)
    low = np.minimum(clipped.astype(np.int64), max(size - 2, 0))
    return low, (clipped - low).astype(np.float32)


def _linear_matrix(size: int, new_size: int) -> Floats:
    matrix = np.zeros((new_size, size), dtype=np.float32)
    low, weight = linear_taps(size, new_size)
    rows = np.arange(new_size)
    np.add.at(matrix, (rows, low), 1 - weight)
    np.add.at(matrix, (rows, np.minimum(low + 1, size - 1)), weight)
    return matrix


def _cubic_matrix(centres: npt.NDArray[np.float64], size: int) -> Floats:
    """Edge extension, spline filter and evaluation, multiplied into one matrix."""
    from scipy import ndimage

    extended = np.zeros((size + 2 * EDGE, size))
    extended[np.arange(size + 2 * EDGE), np.clip(np.arange(-EDGE, size + EDGE), 0, size - 1)] = 1
    # "nearest" is what the evaluation sees beyond the extension; the filter mirrors there.
    coefficients = ndimage.spline_filter1d(extended, order=3, axis=0, mode="nearest")
    positions = centres + EDGE
    start = np.floor(positions).astype(int) - 1
    evaluation = np.zeros((len(centres), size + 2 * EDGE))
    rows = np.arange(len(centres))
    for tap in range(4):
        distance = np.abs(positions - (start + tap))
        weight = np.where(
            distance < 1,
            2 / 3 - distance**2 * (2 - distance) / 2,
            np.maximum(2 - distance, 0) ** 3 / 6,
        )
        column = np.clip(start + tap, 0, size + 2 * EDGE - 1)
        np.add.at(evaluation, (rows, column), weight)
    matrix = evaluation @ coefficients
    # Far from the diagonal weights decay below what float32 holds normally; multiplying by such
    # denormal numbers is many times slower.
    matrix[np.abs(matrix) < NEGLIGIBLE] = 0
    result: Floats = matrix.astype(np.float32)
    return result


def apply_axis(volume: Floats, matrix: Floats, axis: int) -> Floats:
    """Multiplies one axis of [z, y, x] by a matrix [new, old]."""
    result: Floats
    if axis == volume.ndim - 1:
        result = volume @ matrix.T
    elif axis == 0:
        flat = volume.reshape(volume.shape[0], -1)
        result = (matrix @ flat).reshape(matrix.shape[0], *volume.shape[1:])
    else:
        result = np.matmul(matrix, volume)
    return result


def resample_volume(
    volume: Floats, shape: Sequence[int], *, order: int, coarse: int | None = None
) -> Floats:
    """Resamples one channel.

    Args:
        volume: [z, y, x] float32.
        shape: Wanted shape.
        order: 0 nearest, 1 linear, 3 cubic B-spline.
        coarse: Axis that is resampled by nearest neighbour, see `coarse_axis`.

    Returns:
        [*shape] float32, within the range of the input.
    """
    if tuple(volume.shape) == tuple(shape):
        return volume
    if coarse is not None:
        index = nearest_index(volume.shape[coarse], shape[coarse])
        volume = volume.take(index, axis=coarse)
    result = volume
    # Axes that shrink most go first: later products are smaller then.
    for axis in sorted(range(3), key=lambda axis: shape[axis] / volume.shape[axis]):
        if result.shape[axis] == shape[axis]:
            continue
        if order == 0:
            result = result.take(nearest_index(result.shape[axis], shape[axis]), axis=axis)
        else:
            matrix = interpolation_matrix(result.shape[axis], shape[axis], order)
            result = apply_axis(np.ascontiguousarray(result), matrix, axis)
    if order > 1:
        # Slices that were resampled apart are clipped apart, as each is an image of its own.
        axes = tuple(axis for axis in range(3) if axis != coarse)
        low, high = (limit(volume, axis=axes, keepdims=True) for limit in (np.min, np.max))
        result = np.clip(result, low, high)
    return np.ascontiguousarray(result)
