"""Tasks of the Medical Segmentation Decathlon."""

from __future__ import annotations

import pytest

import evaluation
from evaluation.errors import EvaluationError


def test_a_task_of_the_decathlon_has_its_classes_and_tolerance(kidneys):
    summary = evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", profile="msd:liver")
    assert summary.labels == ("liver", "tumor")
    assert summary.mean("nsd") == 1
    assert "not checked" in summary.notes[0]
    with pytest.raises(EvaluationError, match="needs a task: msd:brain"):
        evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", profile="msd")
    with pytest.raises(EvaluationError, match="known are"):
        evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", profile="msd:x")


def test_methods_are_also_ranked_by_their_wins(kidneys):
    summary = evaluation.evaluate_folders(
        kidneys / "ref", [kidneys / "poor", kidneys / "good"], profile="msd:liver"
    )
    schemes = {item.scheme: item.ranks for item in summary.rankings}
    ranks = {"good": 1, "poor": 2}
    assert schemes == dict.fromkeys(("mean then rank", "rank then mean", "significance"), ranks)
