"""Calibration errors and proper scores of probabilities."""

from __future__ import annotations

import math
from dataclasses import replace

from evaluation.measures.reliability import SMALLEST, Calibration
from evaluation.metrics.metric import Metric
from evaluation.settings import Settings


def _ace(item: Calibration, settings: Settings) -> float:
    """Mean over classes and bins of equal mass of the gap."""
    adaptive = replace(settings, adaptive=True)
    gaps = [part.reliability(adaptive).gaps()[0] for part in item.classes]
    values = [float(gap.mean()) for gap in gaps if len(gap)]
    return sum(values) / len(values) if values else math.nan


ACCEPTS = ("num_bins", "norm", "adaptive", "region")
EMPTY = "no voxel in the region: nan"

ECE = Metric(
    title="Expected calibration error of the most probable class",
    of_probabilities=lambda item, settings: item.error(settings),
    direction="lower",
    empty=EMPTY,
    accepts=ACCEPTS,
    source="Naeini et al. 2015, Guo et al. 2017; bins hold their lower edge",
    scope="all",
)
CLASSWISE_ECE = Metric(
    title="Calibration error of a class against the rest",
    of_probabilities=lambda item, settings: item.error(settings),
    direction="lower",
    empty=EMPTY,
    accepts=ACCEPTS,
    source="Kull et al. 2019",
)
ACE = Metric(
    title="Adaptive calibration error",
    of_probabilities=_ace,
    direction="lower",
    empty=EMPTY,
    accepts=("num_bins", "region"),
    source="Nixon et al. 2019: mean over classes and bins of equal mass",
    scope="all",
    adaptive=True,
)
MCE = Metric(
    title="Maximum calibration error",
    of_probabilities=lambda item, settings: item.maximum_error(settings),
    direction="lower",
    empty=EMPTY,
    accepts=("num_bins", "adaptive", "region"),
    source="Naeini et al. 2015",
    scope="all",
)
BRIER = Metric(
    title="Brier score",
    of_probabilities=lambda item, settings: item.brier(settings),
    direction="lower",
    high=2.0,
    empty=EMPTY,
    accepts=("region",),
    source="Brier 1950: mean over voxels of the squared error summed over classes",
    scope="all",
)
CLASSWISE_BRIER = Metric(
    title="Brier score of a class against the rest",
    of_probabilities=lambda item, settings: item.brier(settings),
    direction="lower",
    empty=EMPTY,
    accepts=("region",),
    source="Brier 1950",
)
NLL = Metric(
    title="Negative log likelihood",
    of_probabilities=lambda item, settings: item.negative_log_likelihood(settings),
    direction="lower",
    unit="nat",
    high=math.inf,
    worst=lambda *_: -math.log(SMALLEST),
    empty=EMPTY,
    accepts=("region",),
    source="mean of −ln p of the true class, p at least 1e-12",
    scope="all",
)
