"""Overlap of two masks.

Each takes a reference and a prediction: masks [z, y, x] or [y, x] of one shape, every value but 0
is foreground; and the voxel size per axis (None: 1 mm). What the settings mean says
`evaluation.Settings`; the defaults are those of a summary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from evaluation.functions.arrays import of_masks
from evaluation.metrics import METRICS
from evaluation.settings import Settings


def dice(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    both_empty: str = "nan",
) -> float:
    """Dice similarity coefficient.

    0 … 1; where one mask is empty 0.
    """
    return of_masks(
        METRICS["dice"], reference, prediction, spacing_mm, Settings(both_empty=both_empty)
    )


def iou(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    both_empty: str = "nan",
) -> float:
    """Intersection over union (Jaccard).

    0 … 1; where one mask is empty 0.
    """
    return of_masks(
        METRICS["iou"], reference, prediction, spacing_mm, Settings(both_empty=both_empty)
    )


def precision(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    both_empty: str = "nan",
    one_empty: str = "worst",
) -> float:
    """Precision (positive predictive value).

    0 … 1; without a predicted voxel `one_empty`.
    """
    return of_masks(
        METRICS["precision"],
        reference,
        prediction,
        spacing_mm,
        Settings(both_empty=both_empty, one_empty=one_empty),
    )


def recall(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    both_empty: str = "nan",
    one_empty: str = "worst",
) -> float:
    """Recall (sensitivity).

    0 … 1; without a voxel of the reference `one_empty`.
    """
    return of_masks(
        METRICS["recall"],
        reference,
        prediction,
        spacing_mm,
        Settings(both_empty=both_empty, one_empty=one_empty),
    )


def specificity(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
) -> float:
    """Specificity.

    0 … 1, over the whole image; nan where the class fills it.
    """
    return of_masks(METRICS["specificity"], reference, prediction, spacing_mm, Settings())
