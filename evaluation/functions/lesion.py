"""Lesions of two masks: connected components that were found, missed and invented.

Each takes a reference and a prediction: masks [z, y, x] or [y, x] of one shape, every value but 0
is foreground; and the voxel size per axis (None: 1 mm). What the settings mean says
`evaluation.Settings`; the defaults are those of a summary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from evaluation.functions.arrays import of_masks
from evaluation.metrics import METRICS
from evaluation.settings import ANY_SIZE, Settings


def lesion_f1(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    connectivity: int = 26,
    lesion_iou: float | None = None,
    lesion_ml: tuple[float, float] = ANY_SIZE,
    both_empty: str = "nan",
) -> float:
    """Lesion-wise F1.

    0 … 1, as ISLES'22 counts.
    """
    return of_masks(
        METRICS["lesion_f1"],
        reference,
        prediction,
        spacing_mm,
        Settings(
            connectivity=connectivity,
            lesion_iou=lesion_iou,
            lesion_ml=lesion_ml,
            both_empty=both_empty,
        ),
    )


def lesion_recall(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    connectivity: int = 26,
    lesion_iou: float | None = None,
    lesion_ml: tuple[float, float] = ANY_SIZE,
    both_empty: str = "nan",
    one_empty: str = "worst",
) -> float:
    """Lesion-wise recall.

    0 … 1: share of the reference's lesions that were found.
    """
    return of_masks(
        METRICS["lesion_recall"],
        reference,
        prediction,
        spacing_mm,
        Settings(
            connectivity=connectivity,
            lesion_iou=lesion_iou,
            lesion_ml=lesion_ml,
            both_empty=both_empty,
            one_empty=one_empty,
        ),
    )


def lesion_precision(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    connectivity: int = 26,
    lesion_iou: float | None = None,
    lesion_ml: tuple[float, float] = ANY_SIZE,
    both_empty: str = "nan",
    one_empty: str = "worst",
) -> float:
    """Lesion-wise precision.

    0 … 1: share of the predicted lesions that touch (match) a real one.
    """
    return of_masks(
        METRICS["lesion_precision"],
        reference,
        prediction,
        spacing_mm,
        Settings(
            connectivity=connectivity,
            lesion_iou=lesion_iou,
            lesion_ml=lesion_ml,
            both_empty=both_empty,
            one_empty=one_empty,
        ),
    )


def lesion_count(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    connectivity: int = 26,
    lesion_ml: tuple[float, float] = ANY_SIZE,
) -> float:
    """Lesions in the reference.

    A number.
    """
    return of_masks(
        METRICS["lesion_count"],
        reference,
        prediction,
        spacing_mm,
        Settings(connectivity=connectivity, lesion_ml=lesion_ml),
    )


def predicted_lesion_count(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    connectivity: int = 26,
    lesion_ml: tuple[float, float] = ANY_SIZE,
) -> float:
    """Lesions in the prediction.

    A number.
    """
    return of_masks(
        METRICS["predicted_lesion_count"],
        reference,
        prediction,
        spacing_mm,
        Settings(connectivity=connectivity, lesion_ml=lesion_ml),
    )


def lesion_count_difference(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    connectivity: int = 26,
    lesion_ml: tuple[float, float] = ANY_SIZE,
) -> float:
    """Absolute lesion count difference.

    A number; lower is better.
    """
    return of_masks(
        METRICS["lesion_count_difference"],
        reference,
        prediction,
        spacing_mm,
        Settings(connectivity=connectivity, lesion_ml=lesion_ml),
    )


def lesion_dice(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    connectivity: int = 26,
    lesion_ml: tuple[float, float] = ANY_SIZE,
    both_empty: str = "nan",
    one_empty: str = "worst",
) -> float:
    """Mean Dice per lesion.

    0 … 1: each lesion of the reference against all predicted ones that touch it.
    """
    return of_masks(
        METRICS["lesion_dice"],
        reference,
        prediction,
        spacing_mm,
        Settings(
            connectivity=connectivity,
            lesion_ml=lesion_ml,
            both_empty=both_empty,
            one_empty=one_empty,
        ),
    )


def panoptic_quality(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    connectivity: int = 26,
    lesion_iou: float | None = None,
    both_empty: str = "nan",
) -> float:
    """Panoptic quality of lesions.

    0 … 1: recognition quality × segmentation quality.
    """
    return of_masks(
        METRICS["panoptic_quality"],
        reference,
        prediction,
        spacing_mm,
        Settings(connectivity=connectivity, lesion_iou=lesion_iou, both_empty=both_empty),
    )


def recognition_quality(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    connectivity: int = 26,
    lesion_iou: float | None = None,
    both_empty: str = "nan",
) -> float:
    """Recognition quality of lesions.

    0 … 1: F1 of the lesions that match one to one.
    """
    return of_masks(
        METRICS["recognition_quality"],
        reference,
        prediction,
        spacing_mm,
        Settings(connectivity=connectivity, lesion_iou=lesion_iou, both_empty=both_empty),
    )


def segmentation_quality(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    connectivity: int = 26,
    lesion_iou: float | None = None,
    both_empty: str = "nan",
) -> float:
    """Segmentation quality of matched lesions.

    0 … 1: their mean IoU; 0 where none match.
    """
    return of_masks(
        METRICS["segmentation_quality"],
        reference,
        prediction,
        spacing_mm,
        Settings(connectivity=connectivity, lesion_iou=lesion_iou, both_empty=both_empty),
    )
