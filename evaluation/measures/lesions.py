"""Lesions: connected components of two masks, and which belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csgraph

Mask = npt.NDArray[np.bool_]
DENSE_ENTRIES = 1 << 16
"""Up to here lesions that compete for partners get a table of all their pairs."""


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
        return rows[_heaviest_matching(self.pairs[rows], iou[rows])]


def _heaviest_matching(
    pairs: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """Rows of `pairs` that match one to one, with the largest sum of weights (0 to 1).

    Lesions that compete for partners are few and near each other: each such group is solved for
    itself, so that there never is a table of all lesions.
    """
    size = int(pairs[:, 0].max()) + 1
    ends = (pairs[:, 0], size + pairs[:, 1])
    graph = sparse.coo_matrix((weights, ends), shape=(size + int(pairs[:, 1].max()) + 1,) * 2)
    _, group = csgraph.connected_components(graph, directed=False)
    group_of_row = group[pairs[:, 0]]
    order = np.argsort(group_of_row, kind="stable")
    starts = np.flatnonzero(np.diff(group_of_row[order], prepend=-1))
    chosen = [
        rows if len(rows) == 1 else rows[_solve(pairs[rows], weights[rows])]
        for rows in np.split(order, starts[1:])
    ]
    return np.sort(np.concatenate(chosen))


def _solve(pairs: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The same for one group."""
    first, row = np.unique(pairs[:, 0], return_inverse=True)
    second, column = np.unique(pairs[:, 1], return_inverse=True)
    partner = np.full(len(first), -1, dtype=np.intp)
    if len(first) * len(second) <= DENSE_ENTRIES:
        table = np.zeros((len(first), len(second)))
        table[row, column] = weights
        rows, columns = linear_sum_assignment(table, maximize=True)
        partner[rows] = columns
        return np.flatnonzero(partner[row] == column)
    # The sparse solver wants a partner for every row: each gets a column that means "none".
    alone = np.arange(len(first))
    costs = np.concatenate((2.0 - weights, np.full(len(first), 2.0)))  # a cost of 0 is no entry
    places = (np.concatenate((row, alone)), np.concatenate((column, len(second) + alone)))
    shape = (len(first), len(second) + len(first))
    rows, columns = csgraph.min_weight_full_bipartite_matching(
        sparse.csr_matrix((costs, places), shape=shape)
    )
    partner[rows] = columns
    return np.flatnonzero(partner[row] == column)


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
    # Of truth values cc3d reads 2D ones wrongly: background gets numbers, too.
    values = np.ascontiguousarray(mask).view(np.uint8)
    labels, number = cc3d.connected_components(values, connectivity=connectivity, return_N=True)
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
