"""Damaged files."""

from __future__ import annotations

import numpy as np
import pytest

import evaluation
from evaluation.errors import EvaluationError
from tests.evaluation.conftest import write


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_truncated_predictions_are_refused(tmp_path, ending):
    labels = np.random.default_rng(0).integers(0, 3, (9, 8, 7)).astype(np.uint8)
    for folder in ("ref", "pred"):
        write(tmp_path / folder / f"a{ending}", labels)
    path = tmp_path / f"pred/a{ending}"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(EvaluationError, match="truncated"):
        evaluation.evaluate_folders(tmp_path / "ref", tmp_path / "pred")
