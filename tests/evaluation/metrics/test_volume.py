"""Volumes."""

from __future__ import annotations

import numpy as np

import evaluation


def test_volumes_are_in_millilitres():
    reference = np.ones((10, 10, 10), np.uint8)
    scores = evaluation.score_arrays(reference, reference * 0, {"a": (1,)}, spacing_mm=(2, 1, 1))
    assert scores["a"]["reference_volume"] == 2
    assert scores["a"]["volume_difference"] == -2
    assert scores["a"]["dice"] == scores["a"]["precision"] == 0
