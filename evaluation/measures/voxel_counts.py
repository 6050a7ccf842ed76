"""Voxel counts of all labels and regions from one joint histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError

CHUNK = 1 << 20
"""Voxels at once."""
MOST_LABELS = 10_000
"""Their table of pairs takes 800 MB."""


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


@dataclass(frozen=True, kw_only=True)
class JointHistogram:
    """How often each label of a reference meets each label of a prediction.

    Attributes:
        values: [v] labels that occur, ascending.
        voxels: [v, v] voxels with values[i] in the reference and values[j] in the prediction.
    """

    values: npt.NDArray[np.int64]
    voxels: npt.NDArray[np.int64]

    @property
    def in_reference(self) -> set[int]:
        """Labels of the reference."""
        return set(self.values[self.voxels.any(axis=1)].tolist())

    @property
    def in_prediction(self) -> set[int]:
        """Labels of the prediction."""
        return set(self.values[self.voxels.any(axis=0)].tolist())

    def count_classes(
        self, classes: Mapping[str, Sequence[int]], *, ignore: int | None = None
    ) -> dict[str, Counts]:
        """Voxel counts of classes.

        Args:
            classes: Name → raw values; several values are a region.
            ignore: Raw value of reference voxels that do not count.
        """
        joint = self.voxels
        if ignore is not None:
            joint = np.where(self.values[:, None] == ignore, 0, joint)
        total = int(joint.sum())
        result = {}
        for name, members in classes.items():
            inside = np.isin(self.values, list(members))
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


def count_classes(
    reference: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
    classes: Mapping[str, Sequence[int]],
    *,
    ignore: int | None = None,
) -> dict[str, Counts]:
    """Counts all classes in one pass over two label maps; see `JointHistogram`."""
    return joint_histogram(reference, prediction).count_classes(classes, ignore=ignore)


def joint_histogram(
    reference: npt.NDArray[np.integer], prediction: npt.NDArray[np.integer]
) -> JointHistogram:
    """Counts every pair of labels of two label maps.

    Raises:
        ValueError: The shapes differ.
        EvaluationError: The values are too many to be labels.
    """
    if reference.shape != prediction.shape:
        raise ValueError(
            f"shapes differ: reference {reference.shape}, prediction {prediction.shape}"
        )
    if all(labels.dtype == np.uint8 for labels in (reference, prediction)):
        return _of_bytes(reference.ravel().view(np.uint8), prediction.ravel().view(np.uint8))
    values = np.union1d(values_of(reference), values_of(prediction)).astype(np.int64)
    size = len(values)
    if size > MOST_LABELS:
        raise EvaluationError(f"{size} different values are too many to be labels.")
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
        return JointHistogram(values=values, voxels=joint.reshape(size, size))
    pairs = np.searchsorted(values, reference.ravel().astype(np.int64)) * size
    pairs += np.searchsorted(values, prediction.ravel().astype(np.int64))
    voxels = np.bincount(pairs, minlength=size * size).reshape(size, size)
    return JointHistogram(values=values, voxels=voxels)


def _of_bytes(
    reference: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8]
) -> JointHistogram:
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
    return JointHistogram(values=values.astype(np.int64), voxels=table[np.ix_(values, values)])


def values_of(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Values that occur in a label map, ascending."""
    if labels.dtype.kind == "u" and labels.dtype.itemsize <= 2:
        flat, found = labels.ravel(), np.zeros(1 << 16, dtype=bool)
        for start in range(0, flat.size, CHUNK):
            found[np.flatnonzero(np.bincount(flat[start : start + CHUNK]))] = True
        return np.flatnonzero(found)
    return np.unique(labels).astype(np.int64)
