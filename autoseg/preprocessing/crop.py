"""Cropping to what is not zero."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoseg.schema.triple import triple

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""(start, stop) per axis z, y, x."""


def nonzero_box(image: npt.NDArray[np.generic]) -> Box:
    """Smallest box that holds every voxel that is not zero in some channel.

    Args:
        image: [c, z, y, x].

    Returns:
        The box; the whole image where everything is zero.
    """
    # Most images have non-zero voxels in their outermost planes: look there first.
    box: list[tuple[int, int]] = []
    for axis in range(1, 4):
        size = image.shape[axis]
        planes = np.moveaxis(image, axis, 0)
        start = next((index for index in range(size) if planes[index].any()), None)
        if start is None:
            return triple((0, length) for length in image.shape[1:])
        stop = next(index for index in range(size, 0, -1) if planes[index - 1].any())
        box.append((start, stop))
    return triple(box)


def slices(box: Box) -> tuple[slice, slice, slice]:
    """The box as an index."""
    return triple(slice(start, stop) for start, stop in box)


def nonzero_mask(image: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Voxels that are not zero in some channel, with holes filled: [z, y, x]."""
    from scipy import ndimage

    mask: npt.NDArray[np.bool_] = ndimage.binary_fill_holes((image != 0).any(axis=0))
    return mask
