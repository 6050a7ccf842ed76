"""Label maps, and files that are none."""

from __future__ import annotations

import numpy as np
import pytest

import evaluation
from evaluation.errors import EvaluationError
from evaluation.files.label_maps import read_label_map
from tests.evaluation.conftest import write


def test_missing_folders_and_odd_files_are_named(tmp_path):
    with pytest.raises(EvaluationError, match="no such file or folder"):
        evaluation.evaluate_folders(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a.txt").touch()
    with pytest.raises(EvaluationError, match="not an image"):
        evaluation.evaluate_folders(tmp_path / "a.txt", tmp_path / "b")


@pytest.mark.parametrize("value", [2**31, 2**40, 2**63 - 1])
def test_labels_of_any_size_are_scored(tmp_path, value):
    labels = np.zeros((4, 6, 6), np.int64)
    labels[1:3, 1:4, 1:4] = value
    half = labels.copy()
    half[1] = 0
    write(tmp_path / "ref/a.nii.gz", labels)
    write(tmp_path / "pred/a.nii.gz", half)
    summary = evaluation.evaluate_folders(tmp_path / "ref", tmp_path / "pred")
    assert summary.labels == (f"label {value}",)
    assert summary.mean("dice") == pytest.approx(2 / 3)


def test_labels_that_no_signed_number_holds_are_named(tmp_path):
    write(tmp_path / "a.mha", np.full((2, 3, 4), 2**63 + 5, np.uint64))
    with pytest.raises(EvaluationError, match="holds the label 9223372036854775813"):
        read_label_map(tmp_path / "a.mha")
    write(tmp_path / "b.mha", np.full((2, 3, 4), 1e30))
    with pytest.raises(EvaluationError, match="holds the label 10000000"):
        read_label_map(tmp_path / "b.mha")


def test_unsigned_and_signed_labels_are_compared(tmp_path):
    labels = np.zeros((4, 6, 6), np.uint64)
    labels[1:3, 1:4, 1:4] = 2**60 + 1
    write(tmp_path / "ref/a.mha", labels)
    write(tmp_path / "pred/a.mha", labels.astype(np.int64))
    assert evaluation.evaluate_folders(tmp_path / "ref", tmp_path / "pred").mean("dice") == 1
