"""Evaluations of folders, from files to tables."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

import evaluation
from evaluation.errors import EvaluationError
from tests.evaluation.conftest import write


def test_folders_are_scored_and_written(folders):
    (folders / "ref/dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "whole": [1, 2], "core": 2}})
    )
    (folders / "pred/c3.nii.gz").unlink()
    write(folders / "pred/x.nii.gz", np.zeros((4, 6, 5), np.uint8))
    classes = evaluation.read_classes(folders / "ref/dataset.json")
    (folders / "ref/dataset.json").unlink()
    summary = evaluation.evaluate_folders(folders / "ref", folders / "pred", classes)
    assert (summary.missing, summary.surplus) == (("c3",), ("x",))
    by_case = {s.case: s.value for s in summary.scores if s.metric == "dice" and s.label == "whole"}
    assert by_case["c3"] == 0
    assert summary.mean("dice", "whole") == pytest.approx(sum(by_case.values()) / 4)
    evaluation.write_summary(summary, folders / "out")
    plain = json.loads((folders / "out/summary.json").read_text())
    assert plain["mean_per_class"]["core"]["dice"] == pytest.approx(summary.mean("dice", "core"))
    assert plain["metrics"]["dice"]["empty"].startswith("both empty: policy (nan)")
    with (folders / "out/cases.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4 * 2 * 8
    assert set(rows[0]) == {"case", "class", "metric", "value", "unit"}
    assert "whole" in summary.table()


def test_without_names_every_value_is_scored(folders):
    summary = evaluation.evaluate_folders(folders / "ref", folders / "pred", workers=1)
    assert summary.labels == ("label 1", "label 2")


def test_two_files_belong_together_whatever_their_names(folders):
    summary = evaluation.evaluate_folders(folders / "ref/c0.nii.gz", folders / "pred/c1.nii.gz")
    assert {score.case for score in summary.scores} == {"c0"}


def test_the_judge_needs_neither_autoseg_nor_torch():
    code = "import evaluation, sys; print('autoseg' in sys.modules, 'torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_files_are_scored_by_case(folders):
    references = {f"c{index}": folders / f"ref/c{index}.nii.gz" for index in range(3)}
    predictions = {case: folders / f"pred/{case}.nii.gz" for case in ("c0", "c1")}
    summary = evaluation.evaluate_files(references, predictions, metrics=["dice"])
    assert summary.missing == ("c2",)
    whole = evaluation.evaluate_folders(folders / "ref", folders / "pred", metrics=["dice"])
    by_case = {(s.case, s.label): s.value for s in whole.scores}
    assert {(s.case, s.label): s.value for s in summary.scores if s.case != "c2"} == {
        key: value for key, value in by_case.items() if key[0] in predictions
    }


def test_a_metric_of_more_than_label_maps_is_refused_for_label_maps():
    labels = np.ones((2, 2, 2), int)
    with pytest.raises(EvaluationError, match="'ece' needs probabilities"):
        evaluation.score_arrays(labels, labels, {"a": (1,)}, metrics=["ece"])


def test_numbers_of_folders_that_do_not_fit_are_named(folders):
    with pytest.raises(EvaluationError, match="No predictions: give at least one"):
        evaluation.evaluate_folders(folders / "ref", [])
    with pytest.raises(EvaluationError, match="2 folders of probabilities for 1 predictions"):
        evaluation.evaluate_folders(
            folders / "ref", folders / "pred", probabilities=[folders, folders]
        )
