"""Pairs of masks."""

from __future__ import annotations

import numpy as np
import pytest

import evaluation
from evaluation.measures.masks import MaskPair


def test_pairs_check_shape_and_spacing():
    mask = np.ones((2, 2, 2), dtype=bool)
    with pytest.raises(ValueError, match="shapes differ"):
        MaskPair(mask, mask[:1])
    with pytest.raises(ValueError, match="numbers above 0"):
        MaskPair(mask, mask, (1, 0, 1))


def test_the_voxel_size_may_be_an_array(raters):
    steps = np.array([3.0, 0.5, 0.5])
    assert evaluation.hd95(*raters[:2], steps) == evaluation.hd95(*raters[:2], tuple(steps))
    given = (raters[:2], raters[2], None)
    assert evaluation.crps(*given, steps) == evaluation.crps(*given, tuple(steps))
    labels = raters[0].astype(np.uint8)
    found = evaluation.score_arrays(labels, labels, {"a": (1,)}, spacing_mm=steps)
    assert found["a"]["reference_volume"] == pytest.approx(labels.sum() * 0.75 / 1000)


@pytest.mark.parametrize("step", [0, -1, np.nan, np.inf])
def test_a_voxel_size_that_is_none_is_refused(raters, step):
    with pytest.raises(ValueError, match="numbers above 0"):
        evaluation.dice(*raters[:2], (1, 1, step))
