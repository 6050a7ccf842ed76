"""Evaluations of folders, from files to tables."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

import evaluation
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
