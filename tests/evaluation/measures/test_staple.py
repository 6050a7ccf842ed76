"""STAPLE, against SimpleITK's."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import evaluation
from evaluation.files.label_maps import LabelMap
from evaluation.measures.staple import find_patterns, staple, staple_mask
from evaluation.scoring.consensus import merge


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


@pytest.mark.parametrize("inner", range(3, 14))
def test_the_rim_of_two_nested_raters_is_exactly_one_half_and_counts(inner):
    masks = np.zeros((2, 30, 30), dtype=bool)
    masks[0, 5 : 5 + inner, 5 : 5 + inner] = True
    masks[1, 4 : 6 + inner, 4 : 6 + inner] = True
    box = (slice(None), slice(4, 6 + inner), slice(4, 6 + inner))
    outside = masks[0].size - masks[box][0].size
    assert (staple_mask(masks) == masks[1]).all()
    assert (staple_mask(masks[box], outside) == masks[1][box[1:]]).all()
    assert evaluation.dice_staple(list(masks), masks[1]) == 1
    maps = [
        LabelMap(labels=mask.astype(np.uint8), spacing_mm=(1, 1), origin_mm=(), direction=())
        for mask in masks
    ]
    assert (merge(maps, "staple").labels == masks[1]).all()


def test_forty_raters_are_those_of_simpleitk_in_bounded_memory():
    rng = np.random.default_rng(0)
    truth = np.zeros((12, 24, 24), dtype=bool)
    truth[3:9, 6:18, 6:18] = True
    masks = np.stack([truth ^ (rng.random(truth.shape) < 0.2) for _ in range(40)])
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    expected = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0))
    tracemalloc.start()
    try:
        found = staple(masks)
        votes = masks.sum(axis=0)
        observed = (votes * (votes - 1) + (40 - votes) * (39 - votes)).mean() / (40 * 39)
        share = masks.mean()
        chance = share**2 + (1 - share) ** 2
        kappa = evaluation.fleiss_kappa(list(masks))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert kappa == pytest.approx((observed - chance) / (1 - chance))
    assert peak < 100e6


@settings(deadline=None)
@given(npst.arrays(bool, (20, 3, 4)), st.integers(1, 20), st.integers(0, 3))
def test_patterns_are_the_different_voxels(planes, number, outside):
    planes = planes[:number]
    found = find_patterns(planes, outside)
    assert (found.bits[:, found.index] == planes).all()
    assert found.counts.sum() == planes[0].size + outside
    assert len({tuple(column) for column in found.bits.T}) == found.bits.shape[1]
    unmarked = ~found.bits.any(axis=0)
    assert found.counts[unmarked].sum() == (~planes.any(axis=0)).sum() + outside


def test_a_rater_who_did_not_look_has_no_vote():
    masks = np.zeros((3, 1, 12), dtype=bool)
    masks[0, 0, 2:8] = masks[1, 0, 2:8] = True
    masks[2, 0, 2:5] = True
    unknown = np.zeros_like(masks)
    unknown[2, 0, 5:] = True
    known = staple(masks, unknown=unknown)
    assert (known >= 0.5)[0].tolist() == masks[0, 0].tolist()
    unknown[:, 0, 11] = True
    assert 0 < staple(masks, unknown=unknown)[0, 11] < 1


def test_raters_with_values_of_any_type_make_a_reference():
    maps = [np.array([[1, 0, 0]], np.uint8), np.array([[1, 300, 0]], np.uint16)]
    made = merge(
        [LabelMap(labels=item, spacing_mm=(1, 1), origin_mm=(), direction=()) for item in maps],
        "majority",
    )
    assert made.labels.tolist() == [[1, 300, 0]]
