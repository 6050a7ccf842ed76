"""Which files belong together."""

from __future__ import annotations

import pytest

import evaluation
from evaluation.errors import EvaluationError


def test_methods_with_the_same_folder_name_are_told_apart(kidneys):
    for name in ("x", "y"):
        (kidneys / name).mkdir()
        (kidneys / ("good" if name == "x" else "poor")).rename(kidneys / name / "labels")
    summary = evaluation.evaluate_folders(
        kidneys / "ref", [kidneys / "x/labels", kidneys / "y/labels"], metrics=["dice"]
    )
    assert summary.methods == ("x/labels", "y/labels")
    with pytest.raises(EvaluationError, match="given twice"):
        evaluation.evaluate_folders(kidneys / "ref", [kidneys / "x/labels"] * 2)
