"""Calibration against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.special import softmax

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


def plain_adaptive_error(values, labels, bins):
    """Mean over classes and bins of equal numbers of voxels, which are sorted."""
    gaps = []
    for channel, value in enumerate(values.reshape(len(values), -1).astype(np.float64)):
        order = np.argsort(value, kind="stable")
        right = (labels.ravel() == channel)[order]
        for part, hits in zip(
            np.array_split(value[order], bins), np.array_split(right, bins), strict=True
        ):
            gaps.append(abs(part.mean() - hits.mean()))
    return np.mean(gaps)


@pytest.mark.parametrize("bins", [5, 15, 50])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_the_adaptive_error_is_that_of_sorted_probabilities(bins, kind):
    # As segmentations have it: most voxels are nearly sure, and those decide about the error.
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(3, 20, 60, 60)), (0, 3, 3, 3))
    logits = 5 * noise / noise.std()
    logits[0] += 9
    true, values = softmax(logits, axis=0), softmax(1.4 * logits, axis=0).astype(kind)
    labels = (rng.random(true.shape[1:]) > np.cumsum(true, axis=0)[:2]).sum(axis=0)
    assert np.median(values[1]) < 1e-4
    found = evaluation.ace(labels, values, num_bins=bins)
    assert found == pytest.approx(plain_adaptive_error(values, labels, bins), rel=0.01)


def test_more_channels_than_a_byte_counts_are_scored():
    labels = np.arange(600).reshape(2, 15, 20) % 300
    values = 0.5 * np.eye(300, dtype=np.float32)[labels].transpose(3, 0, 1, 2)
    values += np.float32(0.5 / 300)
    sure = 0.5 + 0.5 / 300
    assert evaluation.ece(labels, values) == pytest.approx(1 - sure, rel=1e-5)
    assert evaluation.nll(labels, values) == pytest.approx(-np.log(sure), rel=1e-5)
    brier = (1 - sure) ** 2 + 299 * (0.5 / 300) ** 2
    assert evaluation.brier(labels, values) == pytest.approx(brier, rel=1e-5)
