"""Lesions: connected components of two masks, and which belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Lesions:
    """Components of a reference and a prediction; number i of the texts is entry i - 1 here.

    Attributes:
        reference_voxels: [n] size of the reference's components.
        prediction_voxels: [m] size of the prediction's components.
        pairs: [k, 2] components (reference, prediction) with common voxels.
        overlaps: [k] their common voxels.
    """

    reference_voxels: npt.NDArray[np.int64]
    prediction_voxels: npt.NDArray[np.int64]
    pairs: npt.NDArray[np.int64]
    overlaps: npt.NDArray[np.int64]

    def iou(self) -> npt.NDArray[np.float64]:
        """[k] intersection over union of the pairs."""
        sizes = self.reference_voxels[self.pairs[:, 0]] + self.prediction_voxels[self.pairs[:, 1]]
        return np.asarray(self.overlaps / (sizes - self.overlaps), dtype=np.float64)

    def match(self, threshold: float) -> npt.NDArray[np.int64]:
        """Rows of `pairs` that match one to one, with the largest sum of IoU at a threshold."""
        iou = self.iou()
        rows = np.flatnonzero(iou >= threshold)
        if threshold > 0.5 or not len(rows):
            return rows  # no component can have two partners
        table = np.zeros((len(self.reference_voxels), len(self.prediction_voxels)))
        table[self.pairs[rows, 0], self.pairs[rows, 1]] = iou[rows]
        chosen = {
            (row, column)
            for row, column in zip(*linear_sum_assignment(table, maximize=True), strict=True)
            if table[row, column] > 0
        }
        return np.array([row for row in rows if tuple(self.pairs[row]) in chosen], dtype=np.int64)


def label_components(mask: Mask, connectivity: int) -> tuple[npt.NDArray[np.integer], int]:
    """Numbers the connected components of a mask from 1.

    Args:
        mask: [z, y, x] or [y, x].
        connectivity: 6, 18 or 26; in 2D 6 and 4 mean 4, all others 8.
    """
    import cc3d

    if not mask.any():
        return np.zeros(mask.shape, dtype=np.uint16), 0
    if mask.ndim == 2:
        connectivity = 4 if connectivity in (4, 6) else 8
    elif connectivity in (4, 8):
        connectivity = 6 if connectivity == 4 else 26
    labels, number = cc3d.connected_components(mask, connectivity=connectivity, return_N=True)
    return labels, int(number)


def find_lesions(reference: Mask, prediction: Mask, connectivity: int) -> Lesions:
    """Components of two masks and all their overlaps, in one pass over the common voxels."""
    first, num_first = label_components(reference, connectivity)
    second, num_second = label_components(prediction, connectivity)
    both = reference & prediction
    codes = first[both].astype(np.int64) * (num_second + 1) + second[both]
    found, overlaps = np.unique(codes, return_counts=True)
    return Lesions(
        reference_voxels=np.bincount(first.ravel(), minlength=num_first + 1)[1:],
        prediction_voxels=np.bincount(second.ravel(), minlength=num_second + 1)[1:],
        pairs=np.stack((found // (num_second + 1), found % (num_second + 1)), axis=1) - 1,
        overlaps=overlaps.astype(np.int64),
    )
