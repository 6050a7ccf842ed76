"""Disturbs the labels that a cascade gets from its first stage, so that it does not trust them."""

from __future__ import annotations

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


def disturb(rng: np.random.Generator, masks: Masks, *, class_probability: float = 1.0) -> Masks:
    """Applies nnU-Net's augmentation of one-hot labels.

    Args:
        rng: Source of all randomness.
        masks: [classes, *space], changed in place.
        class_probability: Share of the classes that change in a sample that does.

    Returns:
        The masks: each was dilated, eroded, opened or closed with a ball of 1 to 8 voxels (p 0.4),
        voxels that a class gained were taken from the others, and a component of each class may
        have been removed (p 0.2).
    """

    def chosen() -> bool:
        return class_probability == 1 or rng.random() < class_probability

    if rng.random() < MORPHOLOGY:
        for index in rng.permutation(len(masks)):
            if not masks[index].any() or not chosen():
                continue
            operation = OPERATIONS[int(rng.integers(len(OPERATIONS)))]
            changed = operation(masks[index], float(rng.integers(1, MAX_RADIUS + 1)))
            gained = changed & ~masks[index]
            masks[:, gained] = False
            masks[index] = changed
    if rng.random() < REMOVAL:
        for mask in filter(lambda _: chosen(), masks):
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
    from acvl_utils.morphology.morphology_helper import cc3d_label_with_component_sizes

    # Of truth values cc3d reads 2D ones wrongly: background gets numbers, too.
    values = np.ascontiguousarray(mask).view(np.uint8)
    components, sizes = cc3d_label_with_component_sizes(values, 26 if mask.ndim == 3 else 8)
    small = [number for number, size in sizes.items() if size < MAX_REMOVED_SHARE * mask.size]
    if small:
        mask[components == small[int(rng.integers(len(small)))]] = False
