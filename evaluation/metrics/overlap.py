"""Overlap of two masks from their voxel counts."""

from __future__ import annotations

from evaluation.confusion import Counts

NAN = float("nan")


def dice(counts: Counts, voxel_ml: float) -> float:
    """2 |A ∩ B| / (|A| + |B|), 0 … 1; nan where both masks are empty (Dice 1945)."""
    size = counts.reference + counts.predicted
    return 2 * counts.true_positive / size if size else NAN


def precision(counts: Counts, voxel_ml: float) -> float:
    """Share of the prediction that is right, 0 … 1; nan where the prediction is empty."""
    return counts.true_positive / counts.predicted if counts.predicted else NAN


def recall(counts: Counts, voxel_ml: float) -> float:
    """Share of the reference that was found, 0 … 1; nan where the reference is empty."""
    return counts.true_positive / counts.reference if counts.reference else NAN
