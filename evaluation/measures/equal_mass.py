"""Bins that hold equal numbers of voxels, counted slab by slab.

Most probabilities of a segmentation lie so near to 0 and 1 that bins of equal width, however fine,
put them all into the first and the last one. Here the fine bins have equal relative width, counted
from the nearer end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

SHIFT = 16
"""Bits of a float32's fraction that are dropped: 128 fine bins per factor of two are left."""
SMALLEST = np.float32(2.0**-41)
"""Nearer to 0 or 1 everything is one bin."""
FIRST = int(SMALLEST.view(np.int32)) >> SHIFT
HALF = (int(np.float32(0.5).view(np.int32)) >> SHIFT) - FIRST + 1
"""Fine bins from 0 to 0.5; as many again mirror them."""

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def _zeros(*shape: int) -> Integers:
    return np.zeros(shape, dtype=np.int64)


@dataclass(kw_only=True)
class MassCounts:
    """Sums per fine bin.

    Attributes:
        voxels: [2, f] voxels, wrong and right ones.
        confidence: [f] sum of confidences, fixed point.
    """

    voxels: Integers = field(default_factory=lambda: _zeros(2, 2 * HALF))
    confidence: Integers = field(default_factory=lambda: _zeros(2 * HALF))

    def add(self, other: MassCounts) -> None:
        """Adds another case."""
        self.voxels += other.voxels
        self.confidence += other.confidence

    def count(
        self, place: npt.NDArray[np.int32], fixed: Floats, right: npt.NDArray[np.bool_]
    ) -> None:
        """Adds voxels.

        Args:
            place: [n] see `find_places`.
            fixed: [n] confidences, fixed point.
            right: [n] whether they were right.
        """
        size = len(self.confidence)
        hits = np.bincount(place[right], minlength=size)
        self.voxels += np.stack((np.bincount(place, minlength=size) - hits, hits))
        self.confidence += np.bincount(place, fixed, size).astype(np.int64)


def find_places(confidence: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Fine bin of each confidence."""
    is_low = confidence <= 0.5
    near = np.where(is_low, confidence, 1 - confidence)  # the difference is exact
    bits = np.maximum(near, SMALLEST).astype(np.float32, copy=False).view(np.int32)
    place = (bits >> SHIFT) - FIRST
    return np.where(is_low, place, 2 * HALF - 1 - place).astype(np.int32, copy=False)


def _lower_edges() -> Floats:
    """Lower edges of the fine bins (those of the upper half are the mirrored upper ones)."""
    bits = (np.arange(FIRST, FIRST + HALF + 1) << SHIFT).astype(np.int32)
    edges = bits.view(np.float32).astype(np.float64)
    edges[0] = 0.0
    return np.concatenate((edges[:HALF], 1 - edges[HALF:0:-1]))


@dataclass(frozen=True, kw_only=True)
class MassBins:
    """Bins with equal numbers of voxels (they differ by one at most).

    Attributes:
        low: [b] lower edges.
        voxels: [b] voxels.
        right: [b] how many of them are right.
        confidence: [b] sum of their confidences, fixed point.
    """

    low: Floats
    voxels: Integers
    right: Floats
    confidence: Floats


def equal_mass(counts: MassCounts, number: int) -> MassBins:
    """Puts fine bins together; one that lies across an edge gives each side its share.

    So voxels of one and the same probability, of which there may be more than a bin holds, are in
    as many bins as they fill.
    """
    held = np.flatnonzero(counts.voxels.any(axis=0))
    per_bin = counts.voxels[:, held]
    ranks = np.concatenate(([0], per_bin.sum(axis=0).cumsum()))
    edges = np.arange(number + 1) * int(ranks[-1]) // number

    def share(sums: Integers) -> Floats:
        return np.diff(np.interp(edges, ranks, np.concatenate(([0], sums.cumsum()))))

    first = np.searchsorted(ranks, edges[:-1], side="right") - 1
    lower = _lower_edges()[held]
    low = lower[np.minimum(first, len(held) - 1)] if len(held) else np.zeros(number)
    low[0] = 0.0
    return MassBins(
        low=low,
        voxels=np.diff(edges),
        right=share(per_bin[1]),
        confidence=share(counts.confidence[held]),
    )
