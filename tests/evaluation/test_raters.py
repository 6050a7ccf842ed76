"""Several raters: against SimpleITK, numerical integrals and hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.integrate import quad
from scipy.stats import norm

import evaluation
from evaluation.challenges.qubiq import thresholded_dice
from evaluation.consensus import merge
from evaluation.files.label_maps import LabelMap
from evaluation.metrics.raters import exact_crps
from evaluation.metrics.volume_score import official_crps
from evaluation.raters import RaterCase, make_soft
from evaluation.staple import staple


@pytest.fixture
def raters():
    rng = np.random.default_rng(1)
    truth = np.zeros((6, 20, 20), dtype=bool)
    truth[2:5, 5:14, 6:15] = True
    noise = rng.random((3, *truth.shape))
    return [truth ^ (part < 0.03 * (index + 1)) for index, part in enumerate(noise)]


def test_staple_is_that_of_simpleitk(raters):
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in raters]
    expected = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0))
    np.testing.assert_allclose(staple(np.stack(raters)), expected, atol=1e-4)


def test_staple_of_nothing_is_nothing():
    assert not staple(np.zeros((3, 4, 4), dtype=bool)).any()
    assert staple(np.ones((3, 4, 4), dtype=bool)).all()


def test_a_smaller_box_has_the_same_staple(raters):
    box = (slice(None), slice(1, 5), slice(2, 18), slice(2, 18))
    whole = [mask & np.pad(np.ones((4, 16, 16), bool), ((1, 1), (2, 2), (2, 2))) for mask in raters]
    stacked = np.stack(whole)
    inside = staple(stacked[box], outside=stacked[0].size - stacked[box][0].size)
    np.testing.assert_allclose(inside, staple(stacked)[box[1:]])


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


def test_the_official_crps_saturates_and_the_exact_one_does_not():
    far = [official_crps([90, 100, 110], value) for value in (0, -1000)]
    assert far[0] == pytest.approx(far[1], rel=1e-6)
    deviation = float(np.std([90, 100, 110]))
    assert exact_crps(100, deviation, -1000) > exact_crps(100, deviation, 0) > far[0]


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


@settings(deadline=None)
@given(probabilities)
def test_volumes_above_thresholds_are_counted(values):
    soft = make_soft(values)
    for level, count in zip(soft.levels, soft.exceeding, strict=True):
        above = (values.astype(np.float64) * 100 > level * 100).sum()
        assert abs(int(count) - int(above)) <= int(np.isclose(values, level).sum())
    assert soft.volume_voxels == pytest.approx(float(values.sum(dtype=np.float64)))


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


def test_values_of_a_box_are_those_of_the_image(raters):
    whole = RaterCase(raters, raters[0])
    box = (slice(0, 6), slice(0, 20), slice(0, 20))
    wide = [np.pad(mask, 4) for mask in raters]
    cut = RaterCase([mask[box] for mask in raters], raters[0][box], size=wide[0].size)
    padded = RaterCase(wide, wide[0])
    assert cut.pattern_counts()[1].tolist() == padded.pattern_counts()[1].tolist()
    assert whole.volumes_ml.tolist() == cut.volumes_ml.tolist()


def test_majority_and_staple_make_a_reference():
    maps = [np.array([[1, 1, 2, 0]]), np.array([[1, 2, 2, 0]]), np.array([[1, 0, 2, 2]])]
    given_maps = [
        LabelMap(labels=m.astype(np.uint8), spacing_mm=(1, 1), origin_mm=(), direction=())
        for m in maps
    ]
    assert merge(given_maps, "majority").labels[0, [0, 2, 3]].tolist() == [1, 2, 0]
    assert merge(given_maps, "staple").labels[0, [0, 2]].tolist() == [1, 2]
    assert merge(given_maps[:1], "majority").labels.tolist() == maps[0].tolist()
