"""Disturbs the labels that a cascade gets from its first stage, so that it does not trust them."""

from __future__ import annotations

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Masks = npt.NDArray[np.bool_]
MORPHOLOGY = 0.4
"""Probability that the masks of a sample grow or shrink."""
REMOVAL = 0.2
"""Probability that components of a sample vanish."""
MAX_RADIUS = 8
MAX_REMOVED_SHARE = 0.15
"""Components that cover more of the patch than this stay."""


def disturb(rng: np.random.Generator, masks: Masks) -> Masks:
    """Applies nnU-Net's augmentation of one-hot labels.

    Args:
        rng: Source of all randomness.
        masks: [classes, *space], changed in place.

    Returns:
        The masks: each was dilated, eroded, opened or closed with a ball of 1 to 8 voxels (p 0.4),
        voxels that a class gained were taken from the others, and a component of each class may
        have been removed (p 0.2).
    """
    if rng.random() < MORPHOLOGY:
        for index in rng.permutation(len(masks)):
            if not masks[index].any():
                continue
            operation = OPERATIONS[int(rng.integers(len(OPERATIONS)))]
            changed = operation(masks[index], float(rng.integers(1, MAX_RADIUS + 1)))
            gained = changed & ~masks[index]
            masks[:, gained] = False
            masks[index] = changed
    if rng.random() < REMOVAL:
        for mask in masks:
            _remove_component(rng, mask)
    return masks


def dilate(mask: Masks, radius: float) -> Masks:
    """Everything within a radius, in voxels."""
    if mask.all():
        return mask
    near: Masks = ndimage.distance_transform_edt(~mask) <= radius
    return near


def erode(mask: Masks, radius: float) -> Masks:
    """Opposite of `dilate`; the patch's border counts as inside."""
    if mask.all():
        return mask
    deep: Masks = ndimage.distance_transform_edt(mask) > radius
    return deep


def opened(mask: Masks, radius: float) -> Masks:
    """Eroded, then dilated."""
    core = erode(mask, radius)
    return dilate(core, radius) if core.any() else core


def closed(mask: Masks, radius: float) -> Masks:
    """Dilated, then eroded."""
    return erode(dilate(mask, radius), radius)


OPERATIONS = (dilate, erode, opened, closed)


def _remove_component(rng: np.random.Generator, mask: Masks) -> None:
    # Of truth values cc3d reads 2D ones wrongly: background gets numbers, too.
    values = np.ascontiguousarray(mask).view(np.uint8)
    components, count = cc3d.connected_components(
        values, connectivity=26 if mask.ndim == 3 else 8, return_N=True
    )
    if count == 0:
        return
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    small = np.flatnonzero(sizes < MAX_REMOVED_SHARE * mask.size)
    if len(small):
        mask[components == 1 + small[int(rng.integers(len(small)))]] = False
