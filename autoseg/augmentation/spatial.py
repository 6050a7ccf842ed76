"""Rotation and scaling: the transform is drawn first, so that only what it needs is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from autoseg.augmentation.rotation import angle_limit, is_flat

Matrix = npt.NDArray[np.float64]


def draw_matrix(rng: np.random.Generator, patch_size: Sequence[int]) -> Matrix | None:
    """Draws rotation (p 0.2) and scaling (p 0.2) with nnU-Net's ranges.

    Args:
        rng: Source of all randomness.
        patch_size: Voxels per axis, two or three axes.

    Returns:
        Matrix that maps offsets from the patch's centre to offsets in the source, in voxels and
        array axis order, or None for the identity. The first axis of anisotropic patches stays.
    """
    rotate, scale = rng.random() < 0.2, rng.random() < 0.2
    flat = is_flat(patch_size)
    plane = tuple(patch_size[1:]) if flat else tuple(patch_size)
    limit = angle_limit(patch_size)
    matrix = np.eye(len(plane))
    if rotate:
        pairs = [(0, 1)] if len(plane) == 2 else [(0, 1), (0, 2), (1, 2)]
        for first, second in pairs:
            matrix = matrix @ _rotation(len(plane), first, second, rng.uniform(-limit, limit))
    if scale:
        low = rng.random() < 0.5
        # Zooming in by z reads 1 / z of the source; both directions are equally likely.
        matrix = matrix / (rng.uniform(0.7, 1) if low else rng.uniform(1, 1.4))
    if not (rotate or scale):
        return None
    if flat:
        full = np.eye(3)
        full[1:, 1:] = matrix
        return full
    return matrix


def _rotation(dims: int, first: int, second: int, angle: float) -> Matrix:
    matrix = np.eye(dims)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def source_size(matrix: Matrix | None, patch_size: Sequence[int]) -> tuple[int, ...]:
    """Voxels per axis that must be read so that the transformed patch is covered.

    The parity is the patch's, so that both have the same centre.
    """
    if matrix is None:
        return tuple(patch_size)
    extent = np.abs(matrix) @ np.asarray(patch_size, dtype=float)
    return tuple(
        int(np.ceil((need - size) / 2)) * 2 + size + 2 if need != size else size
        for need, size in zip(extent, patch_size, strict=True)
    )


def resample(source: Tensor, matrix: Matrix, patch_size: Sequence[int], *, labels: bool) -> Tensor:
    """Applies a drawn transform.

    Args:
        source: [c, *source_size], float; labels as float as well.
        matrix: From `draw_matrix`.
        patch_size: Voxels per axis of the result.
        labels: Nearest neighbour instead of linear.

    Returns:
        [c, *patch_size].
    """
    dims = len(patch_size)
    to_source = np.diag(2.0 / np.asarray(source.shape[1:], dtype=float))
    theta = to_source @ matrix @ np.diag(np.asarray(patch_size, dtype=float) / 2)
    theta = theta[::-1, ::-1].copy()  # grid_sample counts axes from the last
    affine = torch.zeros(1, dims, dims + 1, dtype=torch.float32)
    affine[0, :, :dims] = torch.from_numpy(theta)
    grid = functional.affine_grid(
        affine.to(source.device), [1, source.shape[0], *patch_size], align_corners=False
    )
    mode = "nearest" if labels else "bilinear"
    padding = "zeros"
    return functional.grid_sample(
        source[None], grid, mode=mode, padding_mode=padding, align_corners=False
    )[0]
