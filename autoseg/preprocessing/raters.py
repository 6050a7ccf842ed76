"""Label maps of a case, one per rater, and their majority."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.images.files import read_label_map
from autoseg.schema.dataset import Case
from autoseg.schema.labels import LabelScheme

Labels = npt.NDArray[np.integer]
ROUNDING = 1e-4
"""How far a label in a file of floating point numbers may be from an integer."""
MAX_LISTED = 12


def read_raters(case: Case, scheme: LabelScheme) -> Labels:
    """Reads every label map of a case that has some.

    Returns:
        [r, z, y, x] indices, in the order of `case.annotations`.

    Raises:
        ImageError: A label value is unknown, or the raters' maps differ in shape.
    """
    maps = [encode_labels(read_label_map(path)[0], path, scheme) for path in case.annotations]
    if len({item.shape for item in maps}) > 1:
        raise ImageError(f"Case '{case.identifier}': the raters' label maps differ in shape.")
    return np.stack(maps)


def read_reference(case: Case, scheme: LabelScheme) -> Labels:
    """Reads the label map of a case [z, y, x] as indices, or the majority of several raters'.

    Raises:
        ImageError: A label value is unknown, or the raters' maps differ in shape.
    """
    return majority(read_raters(case, scheme), scheme)


def majority(raters: Sequence[Labels] | Labels, scheme: LabelScheme) -> Labels:
    """Most frequent index per voxel.

    A tie goes to the foreground, and there to the lower index, so that with two raters of four
    a voxel is foreground (the 50 % consensus that LIDC studies use). Who ignored a voxel has no
    vote there; what all of them ignored stays ignored.

    Args:
        raters: [r, *space] indices, at least one rater.
        scheme: Which indices there are.
    """
    stack = np.asarray(raters)
    if len(stack) == 1:
        single: Labels = stack[0]
        return single
    best = np.zeros(stack.shape[1:], dtype=np.uint16)
    result: Labels = np.full_like(stack[0], scheme.ignore_index or 0)
    for index in [*range(1, scheme.num_indices), 0]:
        votes = (stack == index).sum(axis=0, dtype=np.uint16)
        better = votes > best
        best[better] = votes[better]
        result[better] = index
    return result


def encode_labels(array: npt.NDArray[np.generic], path: Path, scheme: LabelScheme) -> Labels:
    """A label map as it was read, [1, z, y, x], as indices [z, y, x].

    Values may be off by what rounding makes of labels that a file scales, not by more.

    Raises:
        ImageError: It has several channels, or values that are no labels of the data set.
    """
    if array.shape[0] != 1:
        raise ImageError(f"{path}: a label map has one channel, this has {array.shape[0]}.")
    raw = array[0] if array.dtype.kind in "iub" else _whole(array[0], path)
    try:
        return scheme.encode(raw)
    except ValueError:
        unknown = [int(value) for value in np.unique(raw) if value not in scheme.known_values]
        known = ", ".join(map(str, scheme.known_values[:MAX_LISTED]))
        raise ImageError(
            f"{path}: unknown label value {', '.join(map(str, unknown[:5]))}; dataset.json "
            f"knows {known}. Add it there or correct the file."
        ) from None


def _whole(values: npt.NDArray[np.generic], path: Path) -> npt.NDArray[np.int64]:
    if values.dtype.kind != "f":
        raise ImageError(f"{path}: holds {values.dtype} values; labels are integers.")
    if not np.isfinite(values).all():
        raise ImageError(f"{path}: holds NaN or infinity; labels are integers.")
    rounded = np.rint(values)
    odd = values[np.abs(values - rounded) > ROUNDING]
    if odd.size:
        raise ImageError(
            f"{path}: holds the value {float(odd.flat[0]):.9g}; labels are integers. "
            "Export the label map without interpolation."
        )
    whole: npt.NDArray[np.int64] = rounded.astype(np.int64)
    return whole
