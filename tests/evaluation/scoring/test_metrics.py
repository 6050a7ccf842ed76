"""Cases scored with metrics of the table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

import evaluation
from tests.evaluation.conftest import write

CLASSES = evaluation.Classes(members={"one": (1,), "two": (2,)})


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reliability_diagram_counts_every_voxel_of_every_case_once(tmp_path, workers):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (3, 4, 6, 5)).astype(np.uint8)
    values = softmax(rng.normal(0, 2, (3, 3, 4, 6, 5)), axis=1).astype(np.float32)
    (tmp_path / "p").mkdir()
    for case in range(3):
        write(tmp_path / f"ref/{case}.nii.gz", labels[case])
        np.savez(tmp_path / f"p/{case}.npz", probabilities=values[case])
    summary = evaluation.evaluate_folders(
        tmp_path / "ref",
        tmp_path / "ref",
        CLASSES,
        metrics=["ece", "classwise_ece"],
        probabilities=[tmp_path / "p"],
        workers=workers,
    )
    together = np.concatenate(list(values), axis=1)
    for name, confidence in (
        ("all classes", together.max(axis=0)),
        ("one", together[1]),
        ("two", together[2]),
    ):
        expected, _ = np.histogram(confidence, np.linspace(0, 1, 16))
        assert summary.reliability["", name].counts.tolist() == expected.tolist()
