"""What tells the methods of an evaluation apart: paired comparisons and rankings."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from evaluation.challenges import find_profile
from evaluation.challenges.profile import Profile
from evaluation.labels import ALL_CLASSES
from evaluation.ranking import Ranking, rank
from evaluation.statistics import Comparison, compare
from evaluation.summary import Summary

Floats = npt.NDArray[np.float64]


def compared(summary: Summary) -> Summary:
    """The summary with everything that tells its methods apart, where there are several."""
    if len(summary.methods) < 2:
        return summary
    profile = find_profile(summary.profile) if summary.profile else None
    return replace(
        summary,
        comparisons=compare_methods(summary),
        rankings=rank_methods(summary, profile),
    )


def compare_methods(summary: Summary) -> tuple[Comparison, ...]:
    """All pairs of methods, in all metrics with a direction: per class, and their mean."""
    result = []
    for metric in _directed(summary):
        for first, second in itertools.combinations(summary.methods, 2):
            for label in summary.labels_of(metric):
                if label != ALL_CLASSES:
                    values = [summary.values(metric, label, name) for name in (first, second)]
                    names = (metric, label, first, second)
                    result.append(compare(values[0], values[1], names, summary.seed))
            means = [_case_means(summary.table_of(metric, name)) for name in (first, second)]
            names = (metric, ALL_CLASSES, first, second)
            result.append(compare(list(means[0]), list(means[1]), names, summary.seed))
    return tuple(result)


def rank_methods(summary: Summary, profile: Profile | None) -> tuple[Ranking, ...]:
    """Rankings over all metrics with a direction; a profile's own ones, with its tie break."""
    metrics = _directed(summary)
    if profile is not None and profile.groups:
        metrics = [name for names in profile.groups.values() for name in names]
    if not metrics:
        return ()
    tables = {name: _turned(summary, name) for name in metrics}
    tie_break = None
    if profile is not None and profile.tie_break is not None:
        values = [summary.values(*profile.tie_break, name) for name in summary.methods]
        tie_break = np.array(values)
    schemes = ["mean then rank", "rank then mean"]
    if profile is not None and profile.significance:
        schemes.append("significance")
    return tuple(
        rank(summary.methods, tables, scheme, tie_break=tie_break, seed=summary.seed)
        for scheme in schemes
    )


def _directed(summary: Summary) -> list[str]:
    return [name for name in summary.metrics if summary.record(name).direction is not None]


def _turned(summary: Summary, metric: str) -> Floats:
    """[methods, cases, classes] values, higher is better."""
    sign = 1.0 if summary.record(metric).direction == "higher" else -1.0
    return sign * np.stack([summary.table_of(metric, name) for name in summary.methods])


def _case_means(table: Floats) -> Floats:
    known = ~np.isnan(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, table, 0).sum(axis=1) / known.sum(axis=1))
