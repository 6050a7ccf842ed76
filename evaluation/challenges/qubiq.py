"""QUBIQ: the raters' mean against probabilities, both cut at thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evaluation.challenges.profile import Mode, Profile, ProfileCase, Values
from evaluation.labels import Classes
from evaluation.metrics.metric import Metric

THRESHOLDS = tuple(round(0.1 * index, 1) for index in range(1, 10))


def thresholded_dice(
    raters: Sequence[npt.NDArray[np.integer]],
    probabilities: npt.NDArray[np.floating],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    strict: bool = False,
    both_empty: float = 1.0,
) -> float:
    """Mean over thresholds of Dice between the raters' mean and the probabilities.

    Args:
        raters: Masks of one structure, one per rater; not 0 is foreground.
        probabilities: 0 … 1, of the same shape.
        thresholds: Of both.
        strict: `>` instead of `>=`.
        both_empty: Dice of a threshold at which both are empty.
    """
    mean = np.mean([np.asarray(rater) > 0 for rater in raters], axis=0)
    total = 0.0
    for threshold in thresholds:
        first = mean > threshold if strict else mean >= threshold
        second = probabilities > threshold if strict else probabilities >= threshold
        size = int(first.sum()) + int(second.sum())
        total += 2 * int((first & second).sum()) / size if size else both_empty
    return total / len(thresholds)


def _score(case: ProfileCase, mode: Mode) -> Values:
    assert case.probabilities is not None
    return {"structure": {"thresholded_dice": thresholded_dice(case.raters, case.probabilities[0])}}


PROFILE = Profile(
    title="QUBIQ: Dice over the thresholds 0.1 … 0.9 of the raters' mean (no official code exists)",
    classes=Classes(members={"structure": (1,)}),
    metrics={
        "thresholded_dice": Metric(
            title="Dice over nine thresholds",
            direction="higher",
            empty="both empty at a threshold: 1",
            source="QUBIQ 2020/21",
        )
    },
    score=_score,
    needs=("raters", "probabilities"),
)
