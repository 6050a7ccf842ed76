"""Several raters: against SimpleITK, numerical integrals and hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.integrate import quad
from scipy.stats import norm

import evaluation
from evaluation.challenges.qubiq import thresholded_dice
from evaluation.measures.official_crps import official_crps
from evaluation.metrics.raters import exact_crps


@settings(deadline=None)
@given(st.floats(-100, 100), st.floats(0.1, 50), st.floats(-200, 200))
def test_exact_crps_is_the_integral(mean, deviation, point):
    def integrand(value):
        return (norm.cdf(value, mean, deviation) - (value >= point)) ** 2

    low, high = min(mean - 12 * deviation, point), max(mean + 12 * deviation, point)
    expected = (
        quad(integrand, low, point, limit=200)[0] + quad(integrand, point, high, limit=200)[0]
    )
    assert exact_crps(mean, deviation, point) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_crps_of_agreeing_raters_is_the_error_and_officially_nothing(raters):
    same = [raters[0]] * 3
    volume = int(raters[0].sum())
    assert evaluation.crps(same, raters[0]) == 0
    shifted = raters[0].copy()
    shifted[0, 0] = True
    error = abs(int(shifted.sum()) - volume) / 1000
    assert evaluation.crps(same, shifted) == pytest.approx(error)
    assert official_crps([volume] * 3, volume / 2) == 0
    assert evaluation.crps(same, shifted, crps="official") == 0


def test_agreement_by_hand():
    first, second, third = (
        np.array([row], dtype=bool) for row in ([1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0])
    )
    dice = (2 / 3 + 4 / 5 + 2 / 4) / 3
    assert evaluation.rater_agreement([first, second, third]) == pytest.approx(dice)
    votes = np.array([3, 2, 1, 0])
    observed = np.mean([(v * (v - 1) + (3 - v) * (2 - v)) / 6 for v in votes])
    share = votes.sum() / 12
    expected = share**2 + (1 - share) ** 2
    kappa = (observed - expected) / (1 - expected)
    assert evaluation.fleiss_kappa([first, second, third]) == pytest.approx(kappa)
    assert evaluation.fleiss_kappa([first, first, first]) == pytest.approx(1)


def test_dice_against_consensus_leaves_dissensus_out():
    first, second = np.array([[1, 1, 0, 0]], bool), np.array([[1, 0, 0, 0]], bool)
    prediction = np.array([[1, 1, 1, 0]], bool)
    assert evaluation.dice_consensus([first, second], prediction) == pytest.approx(2 / 3)
    assert evaluation.dice_majority([first, second], prediction) == pytest.approx(4 / 5)
    assert evaluation.dice_per_rater([first, second], prediction) == pytest.approx(
        (4 / 5 + 1 / 2) / 2
    )


def test_energy_distance_of_a_rater_who_agrees_with_all_is_nothing(raters):
    assert evaluation.ged([raters[0]] * 3, raters[0]) == 0
    assert evaluation.ged(raters, ~raters[0]) > evaluation.ged(raters, raters[0])


probabilities = npst.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32))


@settings(deadline=None)
@given(npst.arrays(bool, (3, 3, 4)), probabilities)
def test_soft_dice_is_that_of_the_thresholds(masks, values):
    expected = thresholded_dice(list(masks), values, strict=True)
    assert evaluation.soft_dice(list(masks), None, values, both_empty="1") == pytest.approx(
        expected
    )


def test_the_volume_interval_holds_the_raters_of_honest_probabilities(raters):
    mean = np.mean(raters, axis=0).astype(np.float32)
    low = evaluation.volume_interval_low(raters, None, mean)
    high = evaluation.volume_interval_high(raters, None, mean)
    assert low <= mean.sum() / 1000 <= high
    assert 0 <= evaluation.volume_coverage(raters, None, mean) <= 1
    assert math.isnan(evaluation.volume_coverage(raters, raters[0]))


def test_confidence_where_raters_agree_and_where_not(raters):
    mean = np.mean(raters, axis=0).astype(np.float32)
    assert evaluation.consensus_confidence(raters, None, mean) == pytest.approx(1)
    assert evaluation.background_confidence(raters, None, mean) == pytest.approx(1)
    assert 1 / 3 <= evaluation.dissensus_confidence(raters, None, mean) <= 2 / 3
