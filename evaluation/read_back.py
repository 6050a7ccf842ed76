"""Reads the files of a finished evaluation back."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.challenges import find_profile
from evaluation.errors import EvaluationError
from evaluation.measures.reliability import Reliability
from evaluation.summary import Score, Summary


def read_summary(folder: Path) -> Summary:
    """Reads what `write_summary` wrote, without comparisons and rankings.

    Raises:
        EvaluationError: The files are missing or were changed.
    """
    try:
        plain = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        scores = tuple(_scores(folder / "cases.csv"))
        names = {score.metric for score in scores}
        profile = plain["profile"]
        found = find_profile(profile) if profile else None
        return Summary(
            scores=scores,
            missing=tuple(plain["missing_predictions"]),
            surplus=tuple(plain["surplus_predictions"]),
            notes=tuple(plain["notes"]),
            records={} if found is None else {name: found.record(name) for name in names},
            reliability=_reliability(folder / "reliability.csv"),
            seed=plain["seed"],
            profile=profile,
            request=plain["request"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"{folder}: cannot be read back ({error}). Evaluate again with --overwrite."
        ) from None


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(stream)


def _scores(path: Path) -> Iterator[Score]:
    for row in _rows(path):
        yield Score(
            case=row["case"],
            label=row["class"],
            metric=row["metric"],
            value=_number(row["value"]),
            method=row.get("method", ""),
        )


def _reliability(path: Path) -> dict[tuple[str, str], Reliability]:
    if not path.is_file():
        return {}
    bins: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in _rows(path):
        bins.setdefault((row["method"], row["class"]), []).append(row)
    return {
        key: Reliability(
            low=np.array([_number(row["low"]) for row in rows]),
            high=np.array([_number(row["high"]) for row in rows]),
            counts=np.array([int(row["voxels"]) for row in rows], dtype=np.int64),
            confidence=np.array([_number(row["mean_confidence"]) for row in rows]),
            accuracy=np.array([_number(row["share_right"]) for row in rows]),
        )
        for key, rows in bins.items()
    }


def _number(text: str) -> float:
    return float(text) if text else math.nan
