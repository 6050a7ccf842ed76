"""Predictions against several raters, and raters against each other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from evaluation.measures.official_crps import official_crps
from evaluation.measures.rater_case import RaterCase
from evaluation.metrics.metric import Metric
from evaluation.settings import Settings

Mask = npt.NDArray[np.bool_]


def dice_of(first: Mask, second: Mask, settings: Settings) -> float:
    """Dice of two masks with the policy of empty masks."""
    size = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    if not size:
        return settings.empty("both", worst=0.0, best=1.0, official=1.0)
    return 2 * int(np.count_nonzero(first & second)) / size


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _against_each(case: RaterCase, settings: Settings) -> float:
    if case.prediction is None:
        return math.nan
    return _mean([dice_of_rater(case, rater, settings) for rater in range(len(case.raters))])


def dice_of_rater(case: RaterCase, rater: int, settings: Settings) -> float:
    """Dice against one rater, where he looked."""
    assert case.prediction is not None
    return dice_of(case.raters[rater], case.seen_by(case.prediction, rater), settings)


def _against(case: RaterCase, reference: Mask, settings: Settings) -> float:
    prediction = case.known_prediction
    return math.nan if prediction is None else dice_of(reference, prediction, settings)


def _consensus(case: RaterCase, settings: Settings) -> float:
    if case.known_prediction is None:
        return math.nan
    return dice_of(case.consensus, case.known_prediction & ~case.dissensus, settings)


def soft_dice(case: RaterCase, settings: Settings, *, strict: bool = True) -> float:
    """Mean over thresholds of Dice between the raters' mean and the probabilities.

    Args:
        case: Raters and probabilities (or a mask, which is its own probability).
        settings: Thresholds, and the policy for thresholds at which both are empty.
        strict: `>` a threshold; otherwise `>=`.
    """
    if case.soft is not None:
        values = case.soft.inside
    elif case.prediction is not None:
        values = case.prediction.astype(np.float32)
    else:
        return math.nan
    result = []
    for threshold in settings.thresholds:
        # Probabilities outside the raters' box count: they are part of the box of a case.
        first = case.share > threshold if strict else case.share >= threshold
        second = values > threshold if strict else values >= threshold
        if case.unknown is not None:
            first, second = first & case.known, second & case.known
        result.append(dice_of(first, second, settings))
    return _mean(result)


def _energy_distance(case: RaterCase, settings: Settings) -> float:
    """2 E d(prediction, rater) − E d(rater, rater'), d = 1 − IoU; one prediction has no spread."""
    if case.prediction is None:
        return math.nan
    number = len(case.raters)
    across = [
        _jaccard_distance(case.seen_by(case.prediction, rater), case.raters[rater])
        for rater in range(number)
    ]
    pairs = (case.pair(*both) for both in itertools.combinations(range(number), 2))
    within = 2 * sum(_jaccard_distance(first, second) for first, second in pairs) / number**2
    return 2 * sum(across) / number - within


def _jaccard_distance(first: Mask, second: Mask) -> float:
    union = int(np.count_nonzero(first | second))
    return 1 - int(np.count_nonzero(first & second)) / union if union else 0.0


def _agreement(case: RaterCase, settings: Settings) -> float:
    pairs = itertools.combinations(range(len(case.raters)), 2)
    return _mean([dice_of(*case.pair(*both), settings) for both in pairs])


def _fleiss_kappa(case: RaterCase, settings: Settings) -> float:
    number, counts = len(case.raters), case.vote_counts()
    total = counts.sum()
    if number < 2 or not total:
        return math.nan
    marked = np.arange(number + 1, dtype=np.float64)
    agreeing: npt.NDArray[np.float64] = (
        marked * (marked - 1) + (number - marked) * (number - marked - 1)
    ) / (number * (number - 1))
    observed = float((agreeing * counts).sum() / total)
    share = float((marked * counts).sum() / (total * number))
    expected = share * share + (1 - share) * (1 - share)
    return (observed - expected) / (1 - expected) if expected < 1 else math.nan


def exact_crps(mean: float, deviation: float, value: float) -> float:
    """Continuous ranked probability score of a value against a normal distribution.

    In closed form (Gneiting & Raftery 2007), in the unit of the arguments. Where the deviation is
    0 it is the absolute error, the limit of the formula.
    """
    if deviation == 0:
        return abs(value - mean)
    z = (value - mean) / deviation
    return float(deviation * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi)))


def _crps(case: RaterCase, settings: Settings) -> float:
    volumes = case.volumes_ml
    if settings.crps == "official":
        return official_crps(list(volumes), case.predicted_volume_ml)
    return exact_crps(float(volumes.mean()), float(volumes.std()), case.predicted_volume_ml)


def volume_interval(case: RaterCase, settings: Settings) -> tuple[float, float]:
    """Interval in ml that holds the volume with the credibility of the settings; nan without p.

    The voxels of a structure are right or wrong together: the volume above threshold t is taken
    as the (1 − t) quantile of the volume. (Independent voxels would give intervals of a few
    voxels, which no rater ever meets.)
    """
    if case.soft is None:
        return math.nan, math.nan
    tail = (1 - settings.credibility) / 2
    low, high = (
        float(np.interp(level, case.soft.levels, case.soft.exceeding)) * case.voxel_ml
        for level in (1 - tail, tail)
    )
    return low, high


def _coverage(case: RaterCase, settings: Settings) -> float:
    low, high = volume_interval(case, settings)
    if math.isnan(low):
        return math.nan
    inside = (case.volumes_ml >= low) & (case.volumes_ml <= high)
    return float(inside.mean())


def _confidence(case: RaterCase, settings: Settings) -> float:
    if case.soft is None or not case.consensus.any():
        return math.nan
    return float(case.soft.inside[case.consensus].mean(dtype=np.float64))


def _background_confidence(case: RaterCase, settings: Settings) -> float:
    """1 − mean probability where no rater marked anything."""
    if case.soft is None:
        return math.nan
    marked = case.votes > 0
    number = int(np.count_nonzero(case.all_known & ~marked)) + case.outside
    if not number:
        return math.nan
    inside = case.soft.inside[marked & case.all_known]
    rest = case.soft.volume_voxels - float(inside.sum(dtype=np.float64))
    return float(1 - rest / number)


def _dissensus_confidence(case: RaterCase, settings: Settings) -> float:
    if case.soft is None or not case.dissensus.any():
        return math.nan
    return float(case.soft.inside[case.dissensus].mean(dtype=np.float64))


NO_PROBABILITIES = "no probabilities: nan"
DICE_EMPTY = "both empty: policy (nan)"

DICE_PER_RATER = Metric(
    title="Mean Dice against each rater",
    of_raters=_against_each,
    direction="higher",
    empty=DICE_EMPTY,
    source="mean over raters",
)
DICE_MAJORITY = Metric(
    title="Dice against the raters' majority",
    of_raters=lambda case, settings: _against(case, case.majority, settings),
    direction="higher",
    empty=DICE_EMPTY,
    source="at least half of the raters",
)
DICE_STAPLE = Metric(
    title="Dice against STAPLE",
    of_raters=lambda case, settings: _against(case, case.staple, settings),
    direction="higher",
    empty=DICE_EMPTY,
    source="Warfield et al. 2004, probability ≥ 0.5",
)
DICE_CONSENSUS = Metric(
    title="Dice in the consensus, dissensus left out",
    of_raters=_consensus,
    direction="higher",
    empty=DICE_EMPTY,
    source="CURVAS 2024, volumetric",
)
SOFT_DICE = Metric(
    title="Thresholded soft Dice",
    of_raters=soft_dice,
    direction="higher",
    empty="both empty at a threshold: policy (nan: the threshold does not count)",
    needs_soft=True,
    source="QUBIQ: mean over the thresholds 0.1 … 0.9",
)
GED = Metric(
    title="Generalised energy distance (squared)",
    of_raters=_energy_distance,
    direction="lower",
    low=-1.0,
    high=2.0,
    empty="both masks of a pair empty: distance 0",
    source="Kohl et al. 2018, d = 1 − IoU",
)
RATER_AGREEMENT = Metric(
    title="Mean pairwise Dice of the raters",
    of_raters=_agreement,
    direction=None,
    empty=DICE_EMPTY,
    source="inter-rater agreement",
)
FLEISS_KAPPA = Metric(
    title="Fleiss' kappa of the raters",
    of_raters=_fleiss_kappa,
    direction=None,
    low=-1.0,
    empty="all voxels alike: nan",
    source="Fleiss 1971, over all voxels",
)
CRPS = Metric(
    title="Continuous ranked probability score of the volume",
    of_raters=_crps,
    direction="lower",
    unit="ml",
    high=math.inf,
    empty="no spread: absolute volume error (official: 0)",
    accepts=("crps",),
    worst=lambda grid, _: grid.volume_ml,
    needs_soft=True,
    source="Gneiting & Raftery 2007; normal distribution fitted to the raters' volumes",
)
VOLUME_LOW = Metric(
    title="Lower end of the volume's credible interval",
    of_raters=lambda case, settings: volume_interval(case, settings)[0],
    direction=None,
    unit="ml",
    high=math.inf,
    empty=NO_PROBABILITIES,
    source="quantiles of the volume above a threshold",
)
VOLUME_HIGH = Metric(
    title="Upper end of the volume's credible interval",
    of_raters=lambda case, settings: volume_interval(case, settings)[1],
    direction=None,
    unit="ml",
    high=math.inf,
    empty=NO_PROBABILITIES,
    source="quantiles of the volume above a threshold",
)
VOLUME_COVERAGE = Metric(
    title="Share of the raters' volumes inside the interval",
    of_raters=_coverage,
    direction=None,
    empty=NO_PROBABILITIES,
    source="to be near the credibility (90 %)",
)
CONSENSUS_CONFIDENCE = Metric(
    title="Mean probability where all raters marked the class",
    of_raters=_confidence,
    direction="higher",
    empty="no consensus or no probabilities: nan",
    needs_soft=True,
    source="CURVAS 2024",
)
BACKGROUND_CONFIDENCE = Metric(
    title="1 − mean probability where no rater marked the class",
    of_raters=_background_confidence,
    direction="higher",
    empty=NO_PROBABILITIES,
    needs_soft=True,
    source="CURVAS 2024",
)
DISSENSUS_CONFIDENCE = Metric(
    title="Mean probability where raters disagree",
    of_raters=_dissensus_confidence,
    direction=None,
    empty="no dissensus or no probabilities: nan",
    source="one half is honest",
)
