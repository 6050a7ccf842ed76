"""Cases scored as a challenge does."""

from __future__ import annotations

import evaluation
from tests.evaluation.conftest import sitk_labels, write


def test_a_missing_prediction_of_a_profile_is_scored_as_empty(organs):
    write(organs / "r1/b.nii.gz", sitk_labels(organs / "r1/a.nii.gz"))
    write(organs / "r2/b.nii.gz", sitk_labels(organs / "r2/a.nii.gz"))
    summary = evaluation.evaluate_folders(
        organs / "r1",
        organs / "pred",
        profile="curvas2024",
        raters=[organs / "r1", organs / "r2"],
        probabilities=[organs / "p"],
    )
    assert summary.missing == ("b",)
    (value,) = [
        s.value for s in summary.scores if (s.case, s.label, s.metric) == ("b", "liver", "dsc")
    ]
    assert value == 0
