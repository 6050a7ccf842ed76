from __future__ import annotations

import csv
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from evaluation.confusion import count_classes, joint_histogram
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import evaluation
from evaluation.errors import EvaluationError
from tests.evaluation.conftest import write

maps = npst.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))
CLASSES = {"one": (1,), "two": (2,), "both": (1, 2)}


@settings(deadline=None)
@given(maps, maps)
def test_counts_are_those_of_boolean_masks(reference, prediction):
    counts = count_classes(reference, prediction, CLASSES)
    for name, values in CLASSES.items():
        first, second = np.isin(reference, values), np.isin(prediction, values)
        found = counts[name]
        assert found.true_positive == (first & second).sum()
        assert found.false_positive == (~first & second).sum()
        assert found.false_negative == (first & ~second).sum()
        assert found.true_negative == (~first & ~second).sum()


@settings(deadline=None)
@given(maps)
def test_dice_of_a_map_with_itself_is_one_or_does_not_count(reference):
    for name, values in evaluation.score_arrays(reference, reference, CLASSES).items():
        is_there = np.isin(reference, CLASSES[name]).any()
        assert values["dice"] == 1 if is_there else math.isnan(values["dice"])


@settings(deadline=None)
@given(maps, maps)
def test_dice_is_symmetric(first, second):
    one = evaluation.score_arrays(first, second, CLASSES)["both"]["dice"]
    two = evaluation.score_arrays(second, first, CLASSES)["both"]["dice"]
    assert one == two or (math.isnan(one) and math.isnan(two))


def test_ignored_voxels_do_not_count():
    reference, prediction = np.array([1, 1, 9, 9, 0]), np.array([1, 0, 1, 0, 0])
    counts = count_classes(reference, prediction, {"a": (1,)}, ignore=9)["a"]
    assert (counts.true_positive, counts.false_positive, counts.false_negative) == (1, 0, 1)
    assert counts.true_negative == 1


def test_large_and_negative_values_are_counted():
    reference, prediction = np.array([-5, 10**6, 0]), np.array([10**6, 10**6, 0])
    values, joint = joint_histogram(reference, prediction)
    assert values.tolist() == [-5, 0, 10**6]
    assert joint.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_volumes_are_in_millilitres():
    reference = np.ones((10, 10, 10), np.uint8)
    scores = evaluation.score_arrays(reference, reference * 0, {"a": (1,)}, spacing_mm=(2, 1, 1))
    assert scores["a"]["reference_volume"] == 2
    assert scores["a"]["volume_difference"] == -2
    assert scores["a"]["dice"] == scores["a"]["precision"] == 0


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


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_truncated_predictions_are_refused(tmp_path, ending):
    labels = np.random.default_rng(0).integers(0, 3, (9, 8, 7)).astype(np.uint8)
    for folder in ("ref", "pred"):
        write(tmp_path / folder / f"a{ending}", labels)
    path = tmp_path / f"pred/a{ending}"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(EvaluationError, match="truncated"):
        evaluation.evaluate_folders(tmp_path / "ref", tmp_path / "pred")


def test_missing_folders_and_odd_files_are_named(tmp_path):
    with pytest.raises(EvaluationError, match="no such file or folder"):
        evaluation.evaluate_folders(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a.txt").touch()
    with pytest.raises(EvaluationError, match="not an image"):
        evaluation.evaluate_folders(tmp_path / "a.txt", tmp_path / "b")


@pytest.mark.parametrize(
    "text",
    ["{", "{}", '{"labels": [1]}', '{"labels": {"background": 0}}', '{"labels": {"a": "x"}}'],
)
def test_unusable_labels_are_named(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(EvaluationError, match=r"dataset\.json: "):
        evaluation.read_classes(tmp_path / "dataset.json")
    with pytest.raises(EvaluationError, match="no such file"):
        evaluation.read_classes(tmp_path / "none.json")


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    summary = evaluation.Summary(scores=())
    monkeypatch.setattr(evaluation.Summary, "to_plain", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluation.write_summary(summary, tmp_path / "s")
    assert not list(tmp_path.glob("s/*.json"))
    assert not list(tmp_path.glob("s/.partial*"))


def test_the_judge_needs_neither_autoseg_nor_torch():
    code = "import evaluation, sys; print('autoseg' in sys.modules, 'torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]
