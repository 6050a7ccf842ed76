"""CURVAS PDACVI 2025 from files."""

from __future__ import annotations

import numpy as np

import evaluation
from tests.evaluation.conftest import save, sitk_labels, write


def test_pdacvi_scores_the_tumour_and_its_vessels(organs):
    write(organs / "vessels/a.nii.gz", np.roll(sitk_labels(organs / "r2/a.nii.gz"), 6, 2))
    save(organs / "p1", "a", (sitk_labels(organs / "r2/a.nii.gz") == 1)[None])
    summary = evaluation.evaluate_folders(
        organs / "r1",
        organs / "pred",
        profile="curvas_pdacvi2025",
        raters=[organs / f"r{index}" for index in (1, 2, 3)],
        probabilities=[organs / "p1"],
        vessels=organs / "vessels",
    )
    assert 0 < summary.mean("thresholded_dice") < 1
    assert summary.mean("involvement_porta") >= 0
