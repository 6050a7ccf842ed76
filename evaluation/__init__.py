"""Scores of segmentations; needs neither autoseg nor torch."""

from evaluation.errors import EvaluationError
from evaluation.evaluate import evaluate_files, evaluate_folders, score_arrays
from evaluation.labels import Classes, read_classes
from evaluation.summary import Summary, write_summary

__all__ = [
    "Classes",
    "EvaluationError",
    "Summary",
    "evaluate_files",
    "evaluate_folders",
    "read_classes",
    "score_arrays",
    "write_summary",
]
