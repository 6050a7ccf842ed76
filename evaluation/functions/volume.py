"""Volumes in millilitres.

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


def reference_volume(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
) -> float:
    """Volume of the reference.

    Millilitres.
    """
    return of_masks(METRICS["reference_volume"], reference, prediction, spacing_mm, Settings())


def predicted_volume(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
) -> float:
    """Volume of the prediction.

    Millilitres.
    """
    return of_masks(METRICS["predicted_volume"], reference, prediction, spacing_mm, Settings())


def volume_difference(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
) -> float:
    """Volume difference (prediction − reference).

    Millilitres; its mean over cases is the bias.
    """
    return of_masks(METRICS["volume_difference"], reference, prediction, spacing_mm, Settings())


def absolute_volume_difference(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
) -> float:
    """Absolute volume difference.

    Millilitres; lower is better.
    """
    return of_masks(
        METRICS["absolute_volume_difference"], reference, prediction, spacing_mm, Settings()
    )


def relative_volume_difference(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    both_empty: str = "nan",
) -> float:
    """Relative volume difference.

    (prediction − reference) / reference; nan where only the reference is empty.
    """
    return of_masks(
        METRICS["relative_volume_difference"],
        reference,
        prediction,
        spacing_mm,
        Settings(both_empty=both_empty),
    )
