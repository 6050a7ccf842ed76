"""Scores of a set of cases: values, means, statistics, and what they are compared with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.errors import printable
from evaluation.labels import ALL_CLASSES
from evaluation.measures.reliability import Reliability
from evaluation.metrics import find
from evaluation.metrics.metric import Metric
from evaluation.ranking import Ranking
from evaluation.statistics import Comparison, Description, bootstrap_interval, describe


@dataclass(frozen=True, kw_only=True)
class Score:
    """One value.

    Attributes:
        case: Case.
        label: Class, or `ALL_CLASSES`.
        metric: Name, with its variants.
        value: The value; nan where the policy says that it does not count.
        method: Which prediction, where several are compared.
    """

    case: str
    label: str
    metric: str
    value: float
    method: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All scores of an evaluation.

    Attributes:
        scores: One entry per method, case, class and metric.
        missing: Reference cases without a prediction; they are scored as worst.
        surplus: Predictions without a reference; they are not scored.
        notes: What else a reader should know.
        records: Metrics that are not in the table of metrics (a challenge's).
        reliability: (method, class) → bins of the reliability diagram over all cases.
        comparisons: Paired comparisons of the methods.
        rankings: Rankings of the methods.
        seed: Of bootstrap and permutations.
        profile: Name of the challenge whose scores these are, or "".
        request: What was asked for, see `describe_request`; "" where nobody needs to know.
    """

    scores: tuple[Score, ...]
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    records: Mapping[str, Metric] = field(default_factory=dict)
    reliability: Mapping[tuple[str, str], Reliability] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    seed: int = 0
    profile: str = ""
    request: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes, in order."""
        found = dict.fromkeys(score.label for score in self.scores)
        return tuple(label for label in found if label != ALL_CLASSES)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics, in order."""
        return tuple(dict.fromkeys(score.metric for score in self.scores))

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods, in order."""
        return tuple(dict.fromkeys(score.method for score in self.scores))

    @property
    def cases(self) -> tuple[str, ...]:
        """Cases, in order."""
        return tuple(dict.fromkeys(score.case for score in self.scores))

    def record(self, metric: str) -> Metric:
        """What is known of a metric."""
        return self.records[metric] if metric in self.records else find(metric)

    @cached_property
    def _values(self) -> dict[tuple[str, str, str], dict[str, float]]:
        table: dict[tuple[str, str, str], dict[str, float]] = {}
        for score in self.scores:
            key = (score.method, score.metric, score.label)
            table.setdefault(key, {})[score.case] = score.value
        return table

    def values(self, metric: str, label: str, method: str | None = None) -> list[float]:
        """Values over the cases; nan for cases without one, [] where nobody computed it."""
        chosen = self._values.get((self._method(method), metric, label))
        return [] if chosen is None else [chosen.get(case, math.nan) for case in self.cases]

    def labels_of(self, metric: str, method: str | None = None) -> tuple[str, ...]:
        """Classes that a metric has values for; all classes together count as one."""
        chosen = self._method(method)
        return tuple(
            label
            for label in (*self.labels, ALL_CLASSES)
            if (chosen, metric, label) in self._values
        )

    def mean(self, metric: str, label: str | None = None, method: str | None = None) -> float:
        """Mean over the cases for a class, or the mean of that over all classes.

        Values that are nan do not count; nan where nothing counts.
        """
        if label is None:
            names = self.labels_of(metric, method)
            return _mean(self.mean(metric, name, method) for name in names)
        return _mean(self.values(metric, label, method))

    def description(self, metric: str, label: str, method: str | None = None) -> Description:
        """Statistics of a class and metric over the cases."""
        return describe(self.values(metric, label, method), self.seed)

    def table_of(self, metric: str, method: str | None = None) -> npt.NDArray[np.float64]:
        """[cases, classes] values."""
        columns = [self.values(metric, name, method) for name in self.labels_of(metric, method)]
        return np.array(columns, dtype=np.float64).T.reshape(len(self.cases), len(columns))

    def interval(self, metric: str, method: str | None = None) -> tuple[float, float]:
        """95 % bootstrap interval of the mean over classes."""
        return bootstrap_interval(self.table_of(metric, method), self.seed)

    def _method(self, method: str | None) -> str:
        return self.methods[0] if method is None and self.scores else method or ""

    def to_plain(self) -> dict[str, Any]:
        """The summary as JSON has it; nan becomes null."""
        shared = {
            "schema": 2,
            "metrics": {
                name: {
                    "title": self.record(name).title,
                    "unit": self.record(name).unit,
                    "higher_is_better": self.record(name).higher_is_better,
                    "empty": self.record(name).empty,
                    "source": self.record(name).source,
                }
                for name in self.metrics
            },
            "missing_predictions": list(self.missing),
            "surplus_predictions": list(self.surplus),
            "notes": list(self.notes),
            "seed": self.seed,
            "profile": self.profile,
            "request": self.request,
        }
        if len(self.methods) < 2:
            return {**shared, **self._plain_method(None)}
        return {
            **shared,
            "methods": {method: self._plain_method(method) for method in self.methods},
            "comparisons": [_finite(asdict(item)) for item in self.comparisons],
            "rankings": [asdict(item) for item in self.rankings],
        }

    def _plain_method(self, method: str | None) -> dict[str, Any]:
        chosen = self._method(method)
        cases: dict[str, dict[str, dict[str, float | None]]] = {}
        for score in self.scores:
            if score.method == chosen:
                case = cases.setdefault(score.case, {})
                case.setdefault(score.label, {})[score.metric] = _plain(score.value)
        named = {metric: self.labels_of(metric, method) for metric in self.metrics}
        labels = [
            label
            for label in (*self.labels, ALL_CLASSES)
            if any(label in found for found in named.values())
        ]
        means = {metric: _plain(self.mean(metric, None, method)) for metric in self.metrics}
        return {
            "mean": means,
            "mean_interval": {
                metric: [_plain(end) for end in self.interval(metric, method)]
                for metric in self.metrics
            },
            "mean_per_class": {
                label: {
                    metric: _plain(self.mean(metric, label, method))
                    for metric in self.metrics
                    if label in named[metric]
                }
                for label in labels
            },
            "statistics": {
                label: {
                    metric: self.description(metric, label, method).to_plain()
                    for metric in self.metrics
                    if label in named[metric]
                }
                for label in labels
            },
            "cases": cases,
        }

    def table(self, method: str | None = None, metrics: Iterable[str] | None = None) -> str:
        """Mean per class as text."""
        chosen = tuple(metrics) if metrics is not None else self._shown(method)
        rows: list[str | None] = [*self.labels, None]
        width = max(len(printable(label or "mean")) for label in rows)
        titles = [self.heading(name) for name in chosen]
        widths = [max(10, len(title)) for title in titles]
        head = (f"{title:>{size}}" for title, size in zip(titles, widths, strict=True))
        lines = [" ".join([" " * width, *head])]
        for label in rows:
            cells = []
            for name, size in zip(chosen, widths, strict=True):
                value = self.mean(name, label, method)
                cells.append(f"{'–' if math.isnan(value) else f'{value:.4f}':>{size}}")
            lines.append(" ".join([f"{printable(label or 'mean'):<{width}}", *cells]))
        return "\n".join(lines)

    def _shown(self, method: str | None) -> tuple[str, ...]:
        """Metrics with a direction come first; as many as a terminal has room for."""
        named = [name for name in self.metrics if self.labels_of(name, method)]
        named.sort(key=lambda name: self.record(name).direction is None)
        return tuple(named[:7])

    def heading(self, metric: str) -> str:
        """Name of a metric with its unit, for people."""
        unit = self.record(metric).unit
        return f"{printable(metric).replace('_', ' ')}{f' {unit}' if unit else ''}"


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _plain(value: float) -> float | None:
    """Numbers that JSON has; it knows neither nan nor infinity."""
    return value if math.isfinite(value) else None


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _plain(value) if isinstance(value, float) else value for key, value in values.items()
    }
