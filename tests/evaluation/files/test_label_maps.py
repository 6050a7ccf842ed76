"""Label maps, and files that are none."""

from __future__ import annotations

import pytest

import evaluation
from evaluation.errors import EvaluationError


def test_missing_folders_and_odd_files_are_named(tmp_path):
    with pytest.raises(EvaluationError, match="no such file or folder"):
        evaluation.evaluate_folders(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a.txt").touch()
    with pytest.raises(EvaluationError, match="not an image"):
        evaluation.evaluate_folders(tmp_path / "a.txt", tmp_path / "b")
