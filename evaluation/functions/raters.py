"""Predictions against several raters, and raters against each other.

Each takes the raters' masks [z, y, x] or [y, x] of one class, and of the same shape the
prediction's mask and the probability of the class, as far as they are there; and the voxel size per
axis (None: 1 mm). What the settings mean says `evaluation.Settings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy.typing as npt

from evaluation.functions.arrays import of_raters
from evaluation.metrics import METRICS
from evaluation.settings import THRESHOLDS, Settings


def dice_per_rater(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    both_empty: str = "nan",
) -> float:
    """Mean Dice against each rater.

    0 … 1; higher is better.
    """
    return of_raters(
        METRICS["dice_per_rater"],
        raters,
        prediction,
        probabilities,
        spacing_mm,
        Settings(both_empty=both_empty),
    )


def dice_majority(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    both_empty: str = "nan",
) -> float:
    """Dice against the raters' majority.

    0 … 1; higher is better. At least half of the raters are a majority.
    """
    return of_raters(
        METRICS["dice_majority"],
        raters,
        prediction,
        probabilities,
        spacing_mm,
        Settings(both_empty=both_empty),
    )


def dice_staple(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    both_empty: str = "nan",
) -> float:
    """Dice against STAPLE.

    0 … 1; higher is better. STAPLE's probability is at least one half.
    """
    return of_raters(
        METRICS["dice_staple"],
        raters,
        prediction,
        probabilities,
        spacing_mm,
        Settings(both_empty=both_empty),
    )


def dice_consensus(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    both_empty: str = "nan",
) -> float:
    """Dice in the consensus, dissensus left out.

    0 … 1; higher is better.
    """
    return of_raters(
        METRICS["dice_consensus"],
        raters,
        prediction,
        probabilities,
        spacing_mm,
        Settings(both_empty=both_empty),
    )


def soft_dice(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    thresholds: tuple[float, ...] = THRESHOLDS,
    both_empty: str = "nan",
) -> float:
    """Thresholded soft Dice.

    0 … 1: mean over `thresholds` of the raters' mean and the probabilities, or the prediction.
    """
    return of_raters(
        METRICS["soft_dice"],
        raters,
        prediction,
        probabilities,
        spacing_mm,
        Settings(thresholds=thresholds, both_empty=both_empty),
    )


def ged(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> float:
    """Generalised energy distance (squared).

    -1 … 2; lower is better.
    """
    return of_raters(METRICS["ged"], raters, prediction, probabilities, spacing_mm, Settings())


def rater_agreement(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    both_empty: str = "nan",
) -> float:
    """Mean pairwise Dice of the raters.

    0 … 1; needs no prediction.
    """
    return of_raters(
        METRICS["rater_agreement"],
        raters,
        prediction,
        probabilities,
        spacing_mm,
        Settings(both_empty=both_empty),
    )


def fleiss_kappa(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> float:
    """Fleiss' kappa of the raters.

    -1 … 1; needs no prediction.
    """
    return of_raters(
        METRICS["fleiss_kappa"], raters, prediction, probabilities, spacing_mm, Settings()
    )


def crps(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    crps: Literal["exact", "official"] = "exact",
) -> float:
    """Continuous ranked probability score of the volume.

    Millilitres; lower is better.
    """
    return of_raters(
        METRICS["crps"], raters, prediction, probabilities, spacing_mm, Settings(crps=crps)
    )


def volume_interval_low(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    credibility: float = 0.9,
) -> float:
    """Lower end of the volume's credible interval.

    Millilitres; nan without probabilities.
    """
    return of_raters(
        METRICS["volume_interval_low"],
        raters,
        prediction,
        probabilities,
        spacing_mm,
        Settings(credibility=credibility),
    )


def volume_interval_high(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    credibility: float = 0.9,
) -> float:
    """Upper end of the volume's credible interval.

    Millilitres; nan without probabilities.
    """
    return of_raters(
        METRICS["volume_interval_high"],
        raters,
        prediction,
        probabilities,
        spacing_mm,
        Settings(credibility=credibility),
    )


def volume_coverage(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    *,
    credibility: float = 0.9,
) -> float:
    """Share of the raters' volumes inside the interval.

    0 … 1; nan without probabilities.
    """
    return of_raters(
        METRICS["volume_coverage"],
        raters,
        prediction,
        probabilities,
        spacing_mm,
        Settings(credibility=credibility),
    )


def consensus_confidence(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> float:
    """Mean probability where all raters marked the class.

    0 … 1; nan without probabilities.
    """
    return of_raters(
        METRICS["consensus_confidence"], raters, prediction, probabilities, spacing_mm, Settings()
    )


def background_confidence(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> float:
    """1 − mean probability where no rater marked the class.

    0 … 1; nan without probabilities.
    """
    return of_raters(
        METRICS["background_confidence"], raters, prediction, probabilities, spacing_mm, Settings()
    )


def dissensus_confidence(
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> float:
    """Mean probability where raters disagree.

    0 … 1; nan without probabilities.
    """
    return of_raters(
        METRICS["dissensus_confidence"], raters, prediction, probabilities, spacing_mm, Settings()
    )
