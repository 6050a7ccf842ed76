"""A chain of batchgenerators' transforms, and the transforms that batchgenerators lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Entries = dict[str, Any]
"""What batchgenerators passes on: data [b, c, *space] and seg [b, label maps, *space]."""

Transform = Callable[..., Entries]
"""Takes the entries of a batch as keyword arguments, and returns them changed."""

NEARLY_ZERO = 1e-3
"""Resampling leaves traces of a normalised image outside its mask, where it was 0."""


@dataclass(frozen=True, kw_only=True)
class TransformChain:
    """How processes augment the batches of a configuration.

    Transforms draw from the global generators of numpy and random. They travel to other
    processes, so they must be picklable.

    Attributes:
        source_size: Voxels per axis that are read for a patch.
        transforms: In the order of application. The channels of seg are the raters' labels, -1
            outside the image's mask, and at the end those of a cascade's previous stage.
        masked_channels: Image channels that are 0 outside the image's mask.
        previous_class_probability: Share of the previous stage's classes that change, see
            `autoseg.augmentation.previous_stage.disturb`.
    """

    source_size: tuple[int, ...]
    transforms: tuple[Transform, ...]
    masked_channels: tuple[int, ...] = ()
    previous_class_probability: float = 1.0

    def __call__(self, entries: Entries) -> Entries:
        """Applies all transforms."""
        for transform in self.transforms:
            entries = transform(**entries)
        return entries


def outside_mask(
    image: npt.NDArray[np.float32], labels: npt.NDArray[np.integer], channels: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    """Voxels outside the mask that a normalised image was made with; labels are always inside.

    Args:
        image: [c, *space].
        labels: [r, *space].
        channels: Those that were normalised with the mask.
    """
    empty: npt.NDArray[np.bool_] = (labels == 0).all(axis=0)
    for channel in channels:
        empty &= np.abs(image[channel]) <= NEARLY_ZERO
    return empty


@dataclass(frozen=True, kw_only=True)
class FoldSlices:
    """[b, c, z, y, x] → [b, c · z, y, x]: slices are turned alike and never mixed.

    Attributes:
        keys: Entries that are folded.
    """

    keys: tuple[str, ...]

    def __call__(self, **entries: Any) -> Entries:
        """Applies it."""
        for key in self.keys:
            array = entries[key]
            entries[key] = array.reshape(array.shape[0], -1, *array.shape[-2:])
        return entries


@dataclass(frozen=True, kw_only=True)
class UnfoldSlices:
    """Inverse of `FoldSlices`.

    Attributes:
        keys: Entries that are unfolded.
        num_slices: z.
    """

    keys: tuple[str, ...]
    num_slices: int

    def __call__(self, **entries: Any) -> Entries:
        """Applies it."""
        for key in self.keys:
            array = entries[key]
            entries[key] = array.reshape(array.shape[0], -1, self.num_slices, *array.shape[-2:])
        return entries


@dataclass(frozen=True, kw_only=True)
class MaskOutside:
    """Makes image channels 0 again outside the mask, where the labels are -1.

    Attributes:
        channels: Those that were normalised with the mask.
    """

    channels: tuple[int, ...]

    def __call__(self, **entries: Any) -> Entries:
        """Applies it."""
        outside = entries["seg"][:, 0] < 0
        for channel in self.channels:
            entries["data"][:, channel][outside] = 0
        return entries
