"""Cases scored as a challenge does."""

from __future__ import annotations

import numpy as np
import pytest

import evaluation
from evaluation.errors import EvaluationError
from tests.evaluation.conftest import save, sitk_labels, write


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


def curvas(organs, **changes):
    given = {"raters": [organs / f"r{index}" for index in (1, 2, 3)], **changes}
    return evaluation.evaluate_folders(
        organs / "r1", organs / "pred", profile="curvas2024", **given
    )


def test_probabilities_that_a_profile_needs_are_asked_for(organs):
    with pytest.raises(EvaluationError, match="'a': the profile needs probabilities"):
        curvas(organs)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 6, 30, 29)), r"shape \(6, 30, 29\), the reference has \(6, 30, 30\)"),
        (np.zeros((2, 6, 30, 30)), "has 2 channels; expected 3 or, with the background first, 4"),
        (np.full((3, 6, 30, 30), 2.0), "the probabilities reach from"),
    ],
)
def test_unusable_probabilities_of_a_profile_are_named(organs, values, message):
    save(organs / "p", "a", values)
    with pytest.raises(EvaluationError, match=message):
        curvas(organs, probabilities=[organs / "p"])


def test_the_background_channel_of_probabilities_is_left_out(organs):
    without = curvas(organs, probabilities=[organs / "p"])
    values = np.load(organs / "p/a.npz")["probabilities"]
    save(organs / "q", "a", np.concatenate((1 - values.sum(axis=0, keepdims=True), values)))
    assert curvas(organs, probabilities=[organs / "q"]).scores == without.scores


def test_an_image_of_another_shape_is_named(organs):
    write(organs / "images/a.nii.gz", np.zeros((6, 30, 29), np.int16))
    with pytest.raises(EvaluationError, match=r"images/a.nii.gz: shape \(6, 30, 29\)"):
        curvas(organs, probabilities=[organs / "p"], images=organs / "images")
