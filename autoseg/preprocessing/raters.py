"""References of a case: one label map, or the majority of several raters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.images.files import read_image
from autoseg.schema.dataset import Case
from autoseg.schema.labels import LabelScheme

Labels = npt.NDArray[np.integer]


def read_reference(case: Case, scheme: LabelScheme) -> Labels:
    """Reads the label map of a case as indices; several raters are joined by majority.

    A tie goes to the foreground, and there to the lower index, so that with two raters of four
    a voxel is foreground (the 50 % consensus that LIDC studies use).

    Raises:
        ImageError: A label value is unknown, or the raters' maps differ in shape.
    """
    maps = [_encode(path, scheme) for path in case.annotations]
    if len(maps) == 1:
        return maps[0]
    if len({item.shape for item in maps}) > 1:
        raise ImageError(f"Case '{case.identifier}': the raters' label maps differ in shape.")
    return majority(maps, len(scheme.known_values))


def majority(maps: Sequence[Labels], num_indices: int) -> Labels:
    """Most frequent index per voxel; ties go to the foreground and there to the lower index."""
    stack = np.stack(maps)
    best = np.zeros(stack.shape[1:], dtype=np.uint8)
    result = np.zeros_like(maps[0])
    for index in [*range(1, num_indices), 0]:
        votes = (stack == index).sum(axis=0, dtype=np.uint8)
        better = votes > best
        best[better] = votes[better]
        result[better] = index
    return result


def _encode(path: Path, scheme: LabelScheme) -> Labels:
    array, _ = read_image(path)
    if array.shape[0] != 1:
        raise ImageError(f"{path}: a label map has one channel, this file has {array.shape[0]}.")
    try:
        rounded = array[0] if array.dtype.kind in "iub" else np.rint(array[0]).astype(np.int64)
        return scheme.encode(rounded)
    except ValueError as error:
        known = ", ".join(map(str, scheme.known_values[:12]))
        raise ImageError(
            f"{path}: holds the label value {error}; dataset.json knows {known}. "
            "Add it to dataset.json or correct the file."
        ) from None
