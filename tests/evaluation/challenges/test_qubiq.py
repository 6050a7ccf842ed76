"""QUBIQ from files."""

from __future__ import annotations

import numpy as np
import pytest

import evaluation
from tests.evaluation.conftest import save, sitk_labels


def test_qubiq_cuts_the_raters_mean(organs):
    values = np.mean([sitk_labels(organs / f"r{i}/a.nii.gz") > 0 for i in (1, 2, 3)], axis=0)
    save(organs / "p2", "a", values[None])
    summary = evaluation.evaluate_folders(
        organs / "r1",
        organs / "pred",
        profile="qubiq",
        raters=[organs / f"r{index}" for index in (1, 2, 3)],
        probabilities=[organs / "p2"],
    )
    assert summary.mean("thresholded_dice") == pytest.approx(1)
