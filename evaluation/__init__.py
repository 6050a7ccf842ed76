"""Scores of segmentations that any program wrote; needs neither autoseg nor torch.

Every metric of the table is a function on arrays, such as `evaluation.dice(reference, prediction)`
or `evaluation.hd95(reference, prediction, spacing_mm, surface="medpy")`; `evaluate_folders` scores
files, with statistics, comparisons of methods and the profiles of challenges.
"""

from __future__ import annotations

from typing import Any

from evaluation.challenges import PROFILES
from evaluation.errors import EvaluationError
from evaluation.evaluate import (
    Inputs,
    evaluate_files,
    evaluate_folders,
    evaluate_inputs,
    score_arrays,
)
from evaluation.functions import FUNCTIONS, MaskFunction, ProbabilityFunction, RaterFunction
from evaluation.labels import Classes, read_classes
from evaluation.metrics import METRICS
from evaluation.report import write_summary
from evaluation.settings import Settings
from evaluation.summary import Score, Summary


def __getattr__(name: str) -> Any:
    """Metrics of the table as functions."""
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    raise AttributeError(f"module 'evaluation' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *FUNCTIONS})


__all__ = [
    "METRICS",
    "PROFILES",
    "Classes",
    "EvaluationError",
    "Inputs",
    "MaskFunction",
    "ProbabilityFunction",
    "RaterFunction",
    "Score",
    "Settings",
    "Summary",
    "evaluate_files",
    "evaluate_folders",
    "evaluate_inputs",
    "read_classes",
    "score_arrays",
    "write_summary",
]
