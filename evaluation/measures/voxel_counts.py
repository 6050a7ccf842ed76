"""Voxel counts of all labels and regions from one joint histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CHUNK = 1 << 20
"""Voxels at once."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Voxel counts of one class in one case.

    Attributes:
        true_positive: In both masks.
        false_positive: Only in the prediction.
        false_negative: Only in the reference.
        true_negative: In neither.
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def reference(self) -> int:
        """Voxels of the reference."""
        return self.true_positive + self.false_negative

    @property
    def predicted(self) -> int:
        """Voxels of the prediction."""
        return self.true_positive + self.false_positive


def count_classes(
    reference: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
    classes: Mapping[str, Sequence[int]],
    *,
    ignore: int | None = None,
) -> dict[str, Counts]:
    """Counts all classes in one pass over the two label maps.

    Args:
        reference: Label map of any shape.
        prediction: Label map of the same shape.
        classes: Name → raw values; several values are a region.
        ignore: Raw value of reference voxels that do not count.

    Raises:
        ValueError: The shapes differ.
    """
    if reference.shape != prediction.shape:
        raise ValueError(
            f"shapes differ: reference {reference.shape}, prediction {prediction.shape}"
        )
    values, joint = joint_histogram(reference, prediction)
    if ignore is not None:
        joint[values == ignore, :] = 0
    total = int(joint.sum())
    result = {}
    for name, members in classes.items():
        inside = np.isin(values, list(members))
        hit = int(joint[np.ix_(inside, inside)].sum())
        in_reference = int(joint[inside, :].sum())
        in_prediction = int(joint[:, inside].sum())
        result[name] = Counts(
            true_positive=hit,
            false_positive=in_prediction - hit,
            false_negative=in_reference - hit,
            true_negative=total - in_reference - in_prediction + hit,
        )
    return result


def joint_histogram(
    reference: npt.NDArray[np.integer], prediction: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Counts every pair of labels.

    Returns:
        (values, counts): the labels that occur, and counts[i, j] voxels with values[i] in the
        reference and values[j] in the prediction.
    """
    if all(labels.dtype == np.uint8 for labels in (reference, prediction)):
        return _of_bytes(reference.ravel().view(np.uint8), prediction.ravel().view(np.uint8))
    values = np.union1d(values_of(reference), values_of(prediction)).astype(np.int64)
    size = len(values)
    if size and values[0] >= 0 and values[-1] < 65536:
        table = np.zeros(int(values[-1]) + 1, dtype=np.int32)
        table[values] = np.arange(size)
        joint = np.zeros(size * size, dtype=np.int64)
        # Slab by slab: the index arrays stay small.
        flat_reference, flat_prediction = reference.ravel(), prediction.ravel()
        for start in range(0, flat_reference.size, CHUNK):
            part = slice(start, start + CHUNK)
            pairs = table[flat_reference[part]] * size + table[flat_prediction[part]]
            joint += np.bincount(pairs, minlength=size * size)
        return values, joint.reshape(size, size)
    pairs = np.searchsorted(values, reference.ravel().astype(np.int64)) * size
    pairs += np.searchsorted(values, prediction.ravel().astype(np.int64))
    return values, np.bincount(pairs, minlength=size * size).reshape(size, size)


def _of_bytes(
    reference: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The same for bytes, whose pairs are 16-bit numbers as they stand."""
    joint = np.zeros(1 << 16, dtype=np.int64)
    for start in range(0, reference.size, CHUNK):
        part = slice(start, start + CHUNK)
        pairs = reference[part].astype(np.uint16)
        pairs <<= 8
        pairs |= prediction[part]
        joint += np.bincount(pairs, minlength=1 << 16)
    table = joint.reshape(256, 256)
    values = np.flatnonzero(table.any(axis=0) | table.any(axis=1))
    return values.astype(np.int64), table[np.ix_(values, values)]


def values_of(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Values that occur in a label map, ascending."""
    if labels.dtype.kind == "u" and labels.dtype.itemsize <= 2:
        flat, found = labels.ravel(), np.zeros(1 << 16, dtype=bool)
        for start in range(0, flat.size, CHUNK):
            found[np.flatnonzero(np.bincount(flat[start : start + CHUNK]))] = True
        return np.flatnonzero(found)
    return np.unique(labels).astype(np.int64)
