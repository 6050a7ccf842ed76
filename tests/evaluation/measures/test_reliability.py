"""Bins of confidence, and what are no probabilities."""

from __future__ import annotations

import numpy as np
import pytest

import evaluation
from evaluation.errors import EvaluationError
from evaluation.functions.arrays import calibrate
from evaluation.measures.reliability import fine_bins
from evaluation.settings import Settings


def test_adaptive_bins_hold_equal_numbers(made):
    values, labels = made
    settings = Settings(num_bins=5, adaptive=True)
    found = calibrate(labels, values, settings).reliability(settings)
    assert found.counts.sum() == labels.size
    assert found.counts.max() - found.counts.min() < 0.05 * labels.size
    assert 0 <= evaluation.ace(labels, values) <= 1


def test_confidence_on_an_edge_belongs_to_the_upper_bin():
    values = np.array([[[0.5, 0.25]], [[0.5, 0.75]]], dtype=np.float32)
    settings = Settings(num_bins=4)
    labels = np.zeros((1, 2), dtype=int)
    found = calibrate(labels, values, settings).reliability(settings)
    assert found.counts.tolist() == [0, 0, 1, 1]


def test_fine_bins_are_a_multiple_of_all_bins():
    assert all(fine_bins([15, 50]) % bins == 0 for bins in (15, 50))
    assert fine_bins([15]) >= 4096


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p * np.float32(np.nan), "hold NaN"),
        (lambda p: p * 3, "reach from"),
        (lambda p: p * np.float32(0.7), "sum to 1"),
        (lambda p: p[:, 1:], "Shapes differ"),
        (lambda p: (p > 0.5).astype(np.uint8), "are uint8"),
    ],
)
def test_what_are_no_probabilities_is_named(made, change, message):
    values, labels = made
    with pytest.raises(EvaluationError, match=message):
        evaluation.ece(labels, change(values))
