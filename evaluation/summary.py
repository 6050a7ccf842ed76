"""Scores of a set of cases: values, means, and the files that hold them."""

from __future__ import annotations

import csv
import json
import math
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.metrics import METRICS


@dataclass(frozen=True, kw_only=True)
class Score:
    """One value.

    Attributes:
        case: Case.
        label: Class.
        metric: Name in the table of metrics.
        value: The value; nan where the policy says that it does not count.
    """

    case: str
    label: str
    metric: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All scores of an evaluation.

    Attributes:
        scores: One entry per case, class and metric.
        missing: Reference cases without a prediction; they are scored as empty predictions.
        surplus: Predictions without a reference; they are not scored.
        notes: What else a reader should know.
    """

    scores: tuple[Score, ...]
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes, in order."""
        return tuple(dict.fromkeys(score.label for score in self.scores))

    def mean(self, metric: str, label: str | None = None) -> float:
        """Mean over the cases for a class, or the mean of that over all classes.

        Values that are nan do not count; nan where nothing counts.
        """
        if label is None:
            return _mean(self.mean(metric, name) for name in self.labels)
        return _mean(
            score.value for score in self.scores if score.metric == metric and score.label == label
        )

    def to_plain(self) -> dict[str, Any]:
        """The summary as JSON has it; nan becomes null."""
        cases: dict[str, dict[str, dict[str, float | None]]] = {}
        for score in self.scores:
            case = cases.setdefault(score.case, {})
            case.setdefault(score.label, {})[score.metric] = _plain(score.value)
        metrics = tuple(dict.fromkeys(score.metric for score in self.scores))
        return {
            "schema": 1,
            "mean": {metric: _plain(self.mean(metric)) for metric in metrics},
            "mean_per_class": {
                label: {metric: _plain(self.mean(metric, label)) for metric in metrics}
                for label in self.labels
            },
            "metrics": {
                name: {
                    "unit": METRICS[name].unit,
                    "higher_is_better": METRICS[name].higher_is_better,
                    "empty": METRICS[name].empty,
                }
                for name in metrics
            },
            "missing_predictions": list(self.missing),
            "surplus_predictions": list(self.surplus),
            "notes": list(self.notes),
            "cases": cases,
        }

    def table(self) -> str:
        """Mean per class as text."""
        metrics = [
            name for name in ("dice", "precision", "recall", "volume_difference") if name in METRICS
        ]
        width = max(len(label) for label in (*self.labels, "mean"))
        lines = [" ".join([" " * width, *(f"{_title(name):>16}" for name in metrics)])]
        for label in (*self.labels, None):
            values = (self.mean(name, label) for name in metrics)
            cells = (f"{'–' if math.isnan(value) else f'{value:.4f}':>16}" for value in values)
            lines.append(" ".join([f"{label or 'mean':<{width}}", *cells]))
        return "\n".join(lines)


def write_summary(summary: Summary, path: Path) -> tuple[Path, Path]:
    """Writes the summary as JSON, and all values as a tidy CSV beside it, atomically.

    Returns:
        The two files.
    """
    table = path.with_suffix(".csv")
    lines = [["case", "class", "metric", "value", "unit"]]
    lines += [
        [
            score.case,
            score.label,
            score.metric,
            "" if math.isnan(score.value) else repr(score.value),
            METRICS[score.metric].unit,
        ]
        for score in summary.scores
    ]
    with _Atomic(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)
    with _Atomic(path) as temporary:
        temporary.write_text(json.dumps(summary.to_plain(), indent=1), encoding="utf-8")
    return path, table


class _Atomic:
    """A temporary file beside the target that is renamed when the block succeeds."""

    def __init__(self, target: Path) -> None:
        self.target = target
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".partial-", dir=target.parent)
        os.close(handle)
        self.temporary = Path(name)

    def __enter__(self) -> Path:
        return self.temporary

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            mask = os.umask(0)
            os.umask(mask)
            self.temporary.chmod(0o666 & ~mask)
            os.replace(self.temporary, self.target)
        else:
            self.temporary.unlink(missing_ok=True)


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _title(metric: str) -> str:
    unit = METRICS[metric].unit
    return f"{metric.replace('_', ' ')}{f' {unit}' if unit else ''}"[:16]
