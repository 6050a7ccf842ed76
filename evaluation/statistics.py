"""Means with their uncertainty, and comparisons of methods on the same cases; all seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

NUM_RESAMPLES = 2000
NUM_PERMUTATIONS = 10_000
CONFIDENCE = 0.95
MAX_EXACT = 50
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Description:
    """A sample of values; nan where nothing counts.

    Attributes:
        number: Values that count.
        not_counted: Values that are nan.
        mean: Mean.
        deviation: Standard deviation (n - 1).
        median: Median.
        lower_quartile: 25th percentile.
        upper_quartile: 75th percentile.
        mean_low: Lower end of the 95 % bootstrap interval of the mean.
        mean_high: Upper end.
    """

    number: int
    not_counted: int
    mean: float
    deviation: float
    median: float
    lower_quartile: float
    upper_quartile: float
    mean_low: float
    mean_high: float

    def to_plain(self) -> dict[str, float | int | None]:
        """As JSON has it; nan and infinite values become null."""
        return {key: value if math.isfinite(value) else None for key, value in asdict(self).items()}


def describe(values: Sequence[float], seed: int = 0) -> Description:
    """Describes the values of a class and metric over the cases."""
    array = np.asarray(values, dtype=np.float64)
    known = array[~np.isnan(array)]
    if not len(known):
        return Description(number=0, not_counted=len(array), **dict.fromkeys(_NUMBERS, math.nan))
    low, high = bootstrap_interval(known[:, None], seed)
    is_finite = bool(np.isfinite(known).all())
    quartiles = np.percentile(known, (25, 50, 75)) if is_finite else [math.nan] * 3
    return Description(
        number=len(known),
        not_counted=len(array) - len(known),
        mean=float(known.mean()),
        deviation=float(known.std(ddof=1)) if is_finite and len(known) > 1 else math.nan,
        median=float(quartiles[1]),
        lower_quartile=float(quartiles[0]),
        upper_quartile=float(quartiles[2]),
        mean_low=low,
        mean_high=high,
    )


_NUMBERS = (
    "mean",
    "deviation",
    "median",
    "lower_quartile",
    "upper_quartile",
    "mean_low",
    "mean_high",
)


def resample_counts(number: int, seed: int, resamples: int = NUM_RESAMPLES) -> Floats:
    """[b, n] how often each case is drawn in each bootstrap sample."""
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(number, np.full(number, 1 / number), size=resamples)
    return draws.astype(np.float64)


def drawn_sums(table: Floats, draws: Floats) -> Floats:
    """[b, k] sums over the drawn cases; a drawn infinite value makes its sum infinite.

    Args:
        table: [n, k] values by case and class; nan does not count.
        draws: [b, n], see `resample_counts`.
    """
    total = draws @ np.where(np.isfinite(table), table, 0.0)
    for value in (np.inf, -np.inf):
        is_there = table == value
        if is_there.any():
            total[draws @ is_there.astype(np.float64) > 0] += value
    return np.asarray(total)


def class_means(table: Floats, draws: Floats) -> Floats:
    """[b] mean over classes of the means over the drawn cases.

    Args:
        table: [n, k] values by case and class; nan does not count.
        draws: [b, n], see `resample_counts`.
    """
    known = ~np.isnan(table)
    total = drawn_sums(table, draws)
    number = draws @ known.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(number > 0, total / number, np.nan)
    counted = ~np.isnan(means)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(counted, means, 0.0).sum(axis=1) / counted.sum(axis=1))


def bootstrap_interval(table: Floats, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean over cases and classes; nan for fewer than two cases."""
    if len(table) < 2 or not np.isfinite(table[~np.isnan(table)]).all():
        return math.nan, math.nan
    means = class_means(table, resample_counts(len(table), seed))
    means = means[~np.isnan(means)]
    if not len(means):
        return math.nan, math.nan
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two methods on the same cases.

    Attributes:
        metric: Metric.
        label: Class, or all classes (mean per case).
        first: Method.
        second: Method.
        number: Cases that both have a value for.
        difference: Mean of first - second.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        wilcoxon_p: Two-sided signed-rank test; 1 where all differences are 0.
        permutation_p: Two-sided test of the mean by flipping signs.
    """

    metric: str
    label: str
    first: str
    second: str
    number: int
    difference: float
    low: float
    high: float
    wilcoxon_p: float
    permutation_p: float


def compare(
    first: Sequence[float], second: Sequence[float], names: tuple[str, str, str, str], seed: int = 0
) -> Comparison:
    """Compares paired values.

    Args:
        first: Values by case.
        second: Values of the same cases.
        names: Metric, class, first and second method.
        seed: Of bootstrap and permutation.
    """
    with np.errstate(invalid="ignore"):
        gaps = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    gaps = gaps[np.isfinite(gaps)]
    low, high = bootstrap_interval(gaps[:, None], seed)
    metric, label, one, two = names
    return Comparison(
        metric=metric,
        label=label,
        first=one,
        second=two,
        number=len(gaps),
        difference=float(gaps.mean()) if len(gaps) else math.nan,
        low=low,
        high=high,
        wilcoxon_p=wilcoxon_p(gaps),
        permutation_p=permutation_p(gaps, seed),
    )


def wilcoxon_p(gaps: Floats, alternative: str = "two-sided") -> float:
    """Signed-rank test of differences; 1 where all are 0, nan without any.

    Exact for up to 50 differences without zeros and ties, the normal approximation otherwise.
    """
    if not len(gaps):
        return math.nan
    if not gaps.any():
        return 1.0
    sizes = np.abs(gaps)
    is_plain = len(gaps) <= MAX_EXACT and sizes.all() and len(np.unique(sizes)) == len(sizes)
    method = "exact" if is_plain else "approx"
    return float(stats.wilcoxon(gaps, alternative=alternative, method=method).pvalue)


def permutation_p(gaps: Floats, seed: int = 0) -> float:
    """Share of sign flips whose mean is at least as far from 0; all flips where there are few."""
    if not len(gaps):
        return math.nan
    if 2 ** len(gaps) <= NUM_PERMUTATIONS:
        bits = np.arange(2 ** len(gaps))[:, None] >> np.arange(len(gaps)) & 1
        means = np.abs((1 - 2 * bits) @ gaps)
        return float((means >= abs(gaps.sum()) * (1 - 1e-12)).mean())
    generator = np.random.default_rng(seed)
    signs = generator.integers(0, 2, size=(NUM_PERMUTATIONS, len(gaps)), dtype=np.int8)
    means = np.abs((1 - 2 * signs) @ gaps)
    hits = int((means >= abs(gaps.sum()) * (1 - 1e-12)).sum())
    return (hits + 1) / (NUM_PERMUTATIONS + 1)
