"""Calibration of probabilities.

Each takes a reference, a label map [z, y, x] or [y, x] of channel numbers (negative ones do not
count), and probabilities [c, z, y, x] or [c, y, x], which sum to 1 over the channels; channel 0 is
the background. What the settings mean says `evaluation.Settings`.
"""

from __future__ import annotations

from typing import Literal

import numpy.typing as npt

from evaluation.functions.arrays import of_probabilities
from evaluation.metrics import METRICS
from evaluation.settings import Region, Settings


def ece(
    reference: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    num_bins: int = 15,
    norm: Literal[1, 2] = 1,
    adaptive: bool = False,
    region: Region = "image",
    margin: int = 5,
) -> float:
    """Expected calibration error of the most probable class.

    0 … 1; lower is better.
    """
    return of_probabilities(
        METRICS["ece"],
        reference,
        probabilities,
        Settings(num_bins=num_bins, norm=norm, adaptive=adaptive, region=region, margin=margin),
    )


def classwise_ece(
    reference: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    num_bins: int = 15,
    norm: Literal[1, 2] = 1,
    adaptive: bool = False,
    region: Region = "image",
    margin: int = 5,
) -> float:
    """Calibration error of a class against the rest.

    0 … 1; lower is better. The mean over the channels.
    """
    return of_probabilities(
        METRICS["classwise_ece"],
        reference,
        probabilities,
        Settings(num_bins=num_bins, norm=norm, adaptive=adaptive, region=region, margin=margin),
    )


def ace(
    reference: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    num_bins: int = 15,
    region: Region = "image",
    margin: int = 5,
) -> float:
    """Adaptive calibration error.

    0 … 1; lower is better. The mean over classes and bins of equal mass.
    """
    return of_probabilities(
        METRICS["ace"],
        reference,
        probabilities,
        Settings(num_bins=num_bins, region=region, margin=margin),
    )


def mce(
    reference: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    num_bins: int = 15,
    adaptive: bool = False,
    region: Region = "image",
    margin: int = 5,
) -> float:
    """Maximum calibration error.

    0 … 1; lower is better.
    """
    return of_probabilities(
        METRICS["mce"],
        reference,
        probabilities,
        Settings(num_bins=num_bins, adaptive=adaptive, region=region, margin=margin),
    )


def brier(
    reference: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    region: Region = "image",
    margin: int = 5,
) -> float:
    """Brier score.

    0 … 2; lower is better. Squared errors are summed over the classes.
    """
    return of_probabilities(
        METRICS["brier"], reference, probabilities, Settings(region=region, margin=margin)
    )


def classwise_brier(
    reference: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    region: Region = "image",
    margin: int = 5,
) -> float:
    """Brier score of a class against the rest.

    0 … 1; lower is better. The mean over the channels.
    """
    return of_probabilities(
        METRICS["classwise_brier"], reference, probabilities, Settings(region=region, margin=margin)
    )


def nll(
    reference: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    region: Region = "image",
    margin: int = 5,
) -> float:
    """Negative log likelihood.

    Nat; lower is better.
    """
    return of_probabilities(
        METRICS["nll"], reference, probabilities, Settings(region=region, margin=margin)
    )
