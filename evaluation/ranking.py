"""Rankings of methods as challenges make them, and how stable they are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.statistics import class_means, drawn_sums, resample_counts, wilcoxon_p

NUM_RESAMPLES = 1000
Floats = npt.NDArray[np.float64]
Tables = Mapping[str, Floats]
"""Metric → [methods, cases, classes] values, all turned so that higher is better.

Schemes take them with [b, cases] weights, how often each case is drawn in each bootstrap sample,
and return [methods, b] mean ranks.
"""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A ranking.

    Attributes:
        scheme: How it was made.
        methods: Names, best first.
        ranks: Final rank by method; equal ones share the better rank.
        scores: What was ranked by method.
        stability: Method → share of the bootstrap samples in which it has each rank 1 … n.
    """

    scheme: str
    methods: tuple[str, ...]
    ranks: dict[str, int]
    scores: dict[str, float]
    stability: dict[str, tuple[float, ...]]


def _ranks(values: Floats) -> Floats:
    """Ranks along the first axis: highest 1, equal ones share the better rank; nan is worst."""
    filled = np.where(np.isnan(values), -np.inf, values)
    return np.asarray(1 + (filled[None] > filled[:, None]).sum(axis=1), dtype=np.float64)


def mean_then_rank(tables: Tables, draws: Floats) -> Floats:
    """Mean over cases and classes per metric, ranked; the mean of these ranks (KiTS)."""
    parts = [
        _ranks(np.stack([class_means(method, draws) for method in table]))
        for table in tables.values()
    ]
    return np.asarray(np.mean(parts, axis=0))


def rank_then_mean(tables: Tables, draws: Floats) -> Floats:
    """Ranks in every case, class and metric; their mean (ISLES'22)."""
    parts = []
    for table in tables.values():
        ranks = _ranks(table)
        ranks[:, np.isnan(table).all(axis=0)] = np.nan  # nobody has a value there
        parts.append(np.stack([_pooled_mean(method, draws) for method in ranks]))
    return np.asarray(np.mean(parts, axis=0))


def _pooled_mean(table: Floats, draws: Floats) -> Floats:
    """[b] mean over all drawn cases and classes together."""
    known = ~np.isnan(table)
    total = drawn_sums(table, draws).sum(axis=1)
    number = draws @ known.sum(axis=1).astype(np.float64)
    return np.asarray(total / np.maximum(number, 1))


def significance(tables: Tables, draws: Floats, alpha: float = 0.05) -> Floats:
    """Wins in one-sided Wilcoxon tests per class and metric, ranked; the mean rank (Decathlon)."""
    columns = []
    for draw in draws:
        cases = np.repeat(np.arange(len(draw)), draw.astype(np.intp))
        parts = []
        for table in tables.values():
            for label in range(table.shape[2]):
                parts.append(_ranks(_wins(table[:, cases, label], alpha)[:, None])[:, 0])
        columns.append(np.mean(parts, axis=0))
    return np.stack(columns, axis=1)


def _wins(values: Floats, alpha: float) -> Floats:
    wins = np.zeros(len(values))
    for first, second in itertools.permutations(range(len(values)), 2):
        gaps = values[first] - values[second]
        gaps = gaps[np.isfinite(gaps)]
        if len(gaps):
            wins[first] += wilcoxon_p(gaps, "greater") < alpha
    return wins


SCHEMES: dict[str, Callable[[Tables, Floats], Floats]] = {
    "mean then rank": mean_then_rank,
    "rank then mean": rank_then_mean,
    "significance": significance,
}


def rank(
    methods: Sequence[str],
    tables: Tables,
    scheme: str,
    *,
    tie_break: Floats | None = None,
    seed: int = 0,
    resamples: int = NUM_RESAMPLES,
) -> Ranking:
    """Ranks methods.

    Args:
        methods: Names, in the order of the tables.
        tables: See `Tables`.
        scheme: One of `SCHEMES`.
        tie_break: [methods, cases] values whose mean decides between equal methods.
        seed: Of the bootstrap.
        resamples: Bootstrap samples of the cases; significance, which is slow, takes a tenth.
    """
    compute = SCHEMES[scheme]
    number = next(iter(tables.values())).shape[1]
    rounds = resamples // 10 if scheme == "significance" else resamples
    # The first row is the sample itself.
    draws = np.concatenate((np.ones((1, number)), resample_counts(number, seed, rounds)))
    scores = compute(tables, draws)
    ranks = _final(scores, None if tie_break is None else _pooled(tie_break, draws))
    final = ranks[:, 0]
    places = np.arange(1, len(methods) + 1)
    shares = (ranks[:, 1:, None] == places).mean(axis=1)
    order = np.argsort(final, kind="stable")
    return Ranking(
        scheme=scheme,
        methods=tuple(methods[index] for index in order),
        ranks={methods[index]: int(final[index]) for index in order},
        scores={methods[index]: float(scores[index, 0]) for index in order},
        stability={
            methods[index]: tuple(float(share) for share in shares[index]) for index in order
        },
    )


def _pooled(tie_break: Floats, draws: Floats) -> Floats:
    return np.stack([class_means(method[:, None], draws) for method in tie_break])


def _final(scores: Floats, tie_break: Floats | None) -> npt.NDArray[np.intp]:
    """[methods, b] ranks of mean ranks (lower is better), ties broken or shared."""
    better = scores[None] < scores[:, None]
    if tie_break is not None:
        second = np.where(np.isnan(tie_break), -np.inf, tie_break)
        better |= (scores[None] == scores[:, None]) & (second[None] > second[:, None])
    return np.asarray(1 + better.sum(axis=1), dtype=np.intp)
