"""Calibration against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest

import evaluation


def plain_error(confidence, right, bins, norm=1):
    place = np.minimum((confidence.astype(np.float64) * bins).astype(int), bins - 1)
    total = 0.0
    for index in range(bins):
        held = place == index
        if held.any():
            gap = abs(right[held].mean() - confidence[held].astype(np.float64).mean())
            total += held.mean() * gap**norm
    return total ** (1 / norm)


@pytest.mark.parametrize("bins", [1, 10, 15, 50])
def test_errors_are_those_of_the_formulas(made, bins):
    values, labels = made
    confidence, right = values.max(axis=0).ravel(), (values.argmax(axis=0) == labels).ravel()
    for norm in (1, 2):
        found = evaluation.ece(labels, values, num_bins=bins, norm=norm)
        assert found == pytest.approx(plain_error(confidence, right, bins, norm), abs=1e-8)
    each = [plain_error(values[c].ravel(), (labels == c).ravel(), bins) for c in range(3)]
    found = evaluation.classwise_ece(labels, values, num_bins=bins)
    assert found == pytest.approx(np.mean(each), abs=1e-8)


def test_proper_scores_are_those_of_the_formulas(made):
    values, labels = made
    one_hot = np.eye(3)[labels].transpose(3, 0, 1, 2)
    brier = ((values - one_hot) ** 2).sum(axis=0).mean()
    assert evaluation.brier(labels, values) == pytest.approx(brier, rel=1e-6)
    of_truth = np.take_along_axis(values, labels[None].astype(int), axis=0)
    assert evaluation.nll(labels, values) == pytest.approx(-np.log(of_truth).mean(), rel=1e-6)
    assert evaluation.mce(labels, values) >= evaluation.ece(labels, values)


def test_perfect_probabilities_have_no_error():
    labels = np.arange(24).reshape(2, 3, 4) % 3
    values = np.eye(3, dtype=np.float32)[labels].transpose(3, 0, 1, 2)
    assert evaluation.ece(labels, values) == evaluation.brier(labels, values) == 0
