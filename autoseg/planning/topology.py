"""Network topology from patch size and spacing: which axes are pooled when, with which kernels.

The rules are nnU-Net's (Isensee et al. 2021, supplement; version 2.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_FEATURE_MAP = 4
"""No axis of a feature map becomes shorter than this by pooling."""


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Strides and kernels per stage, and the patch padded to what they divide.

    Attributes:
        strides: Per stage and axis; the first stage has stride 1.
        kernel_sizes: Per stage and axis.
        patch_size: Voxels per axis.
        divisor: What each axis of the patch is divisible by.
    """

    strides: tuple[tuple[int, ...], ...]
    kernel_sizes: tuple[tuple[int, ...], ...]
    patch_size: tuple[int, ...]
    divisor: tuple[int, ...]


def initial_patch(spacing: Sequence[float], median_shape: Sequence[float]) -> list[float]:
    """Patch of 256³ (2048²) voxels with cubic physical shape, clipped to the median shape."""
    dims = len(spacing)
    voxels = 256**3 if dims == 3 else 2048**2
    inverse = 1 / np.asarray(spacing, dtype=float)
    isotropic = inverse * (voxels / np.prod(inverse)) ** (1 / dims)
    return [min(round(size), limit) for size, limit in zip(isotropic, median_shape, strict=True)]


def make_topology(spacing: Sequence[float], patch_size: Sequence[float]) -> Topology:
    """Pools every axis while it is long enough and its spacing is within twice the finest.

    Args:
        spacing: Target spacing per axis.
        patch_size: Wanted voxels per axis; the result is padded.
    """
    dims = len(spacing)
    current_spacing, current_size = list(spacing), [float(size) for size in patch_size]
    kernel = [1] * dims
    num_pools = [0] * dims
    strides: list[tuple[int, ...]] = [(1,) * dims]
    kernels: list[tuple[int, ...]] = []
    while pooled := _poolable(current_spacing, current_size):
        finest = min(current_spacing)
        kernel = [
            3 if have == 3 or step / finest < 2 else 1
            for have, step in zip(kernel, current_spacing, strict=True)
        ]
        for axis in pooled:
            num_pools[axis] += 1
            current_spacing[axis] *= 2
            current_size[axis] = float(np.ceil(current_size[axis] / 2))
        strides.append(tuple(2 if axis in pooled else 1 for axis in range(dims)))
        kernels.append(tuple(kernel))
    kernels.append((3,) * dims)
    divisor = tuple(2**count for count in num_pools)
    padded = tuple(
        int(np.ceil(size / step) * step) for size, step in zip(patch_size, divisor, strict=True)
    )
    return Topology(
        strides=tuple(strides), kernel_sizes=tuple(kernels), patch_size=padded, divisor=divisor
    )


def _poolable(spacing: Sequence[float], size: Sequence[float]) -> list[int]:
    long_enough = [axis for axis, length in enumerate(size) if length >= 2 * MIN_FEATURE_MAP]
    if not long_enough:
        return []
    finest = min(spacing[axis] for axis in long_enough)
    axes = [axis for axis in long_enough if spacing[axis] / finest < 2]
    if len(axes) == 1 and size[axes[0]] < 3 * MIN_FEATURE_MAP:
        return []
    return axes


def shrink(
    topology: Topology, spacing: Sequence[float], median_shape: Sequence[float]
) -> Topology | None:
    """Shortens the axis that is longest relative to the median shape by one divisor.

    Returns:
        The new topology, or None where no axis can be shortened.
    """
    patch = list(topology.patch_size)
    ratios = [size / limit for size, limit in zip(patch, median_shape, strict=True)]
    axis = int(np.argsort(ratios)[-1])
    trial = list(patch)
    trial[axis] -= topology.divisor[axis]
    if trial[axis] < 1:
        return None
    # The divisor of the smaller patch may be smaller; taking it does not skip valid sizes.
    patch[axis] -= make_topology(spacing, trial).divisor[axis]
    return make_topology(spacing, patch)
