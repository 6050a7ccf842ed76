"""How far patches are turned, and in which plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ANISOTROPY = 3
"""A patch is anisotropic where its longest axis exceeds its first by more than this."""
ELONGATION = 1.5
"""A slice is elongated where its longer axis exceeds its shorter by more than this."""


def is_flat(patch_size: Sequence[int]) -> bool:
    """Whether a patch is anisotropic, so that it is only transformed in its plane."""
    return len(patch_size) == 3 and max(patch_size) / patch_size[0] > ANISOTROPY


def angle_limit(patch_size: Sequence[int]) -> float:
    """Largest angle in radians by which nnU-Net turns a patch about an axis.

    Args:
        patch_size: Voxels per axis, two or three axes.

    Returns:
        30° for volumes; 180° for slices and for anisotropic volumes, whose slices are turned; 15°
        for elongated slices.
    """
    if len(patch_size) == 3:
        return float(np.deg2rad(180 if is_flat(patch_size) else 30))
    return float(np.deg2rad(15 if max(patch_size) / min(patch_size) > ELONGATION else 180))
