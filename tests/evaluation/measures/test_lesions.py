"""Connected components in two and three dimensions, and their partners."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

import evaluation
from evaluation.measures.lesions import find_lesions, label_components

flat_masks = npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=9))


@settings(deadline=None)
@given(flat_masks, st.sampled_from((4, 8)))
def test_components_of_flat_masks_are_those_of_scipy(mask, connectivity):
    labels, number = label_components(mask, connectivity)
    expected, count = ndimage.label(mask, np.ones((3, 3)) if connectivity == 8 else None)
    assert number == count
    assert ((labels > 0) == mask).all()
    pairs = set(zip(labels[mask].tolist(), expected[mask].tolist(), strict=True))
    assert len(pairs) == count


def test_two_lesions_of_one_pixel_in_a_row_are_two():
    mask = np.array([[0, 1, 0, 0, 0, 1, 0]], dtype=bool)
    labels, number = label_components(mask, 8)
    assert number == 2
    assert np.count_nonzero(labels) == 2


@settings(deadline=None)
@given(flat_masks)
def test_a_flat_mask_agrees_with_itself_lesion_by_lesion(mask):
    for name in ("lesion_f1", "lesion_recall", "lesion_precision", "panoptic_quality"):
        assert getattr(evaluation, name)(mask, mask, both_empty="best") == 1
    assert evaluation.lesion_count_difference(mask, mask) == 0


def test_one_to_one_matches_have_the_largest_sum_of_iou():
    # By hand: A meets b in 1 of 5 voxels; B meets b in 2 of 6 and c in 1 of 5.
    reference = np.array([[1, 1, 0, 1, 1, 1, 1, 0, 0]], dtype=bool)
    prediction = np.array([[0, 1, 1, 1, 1, 0, 1, 1, 0]], dtype=bool)
    lesions = find_lesions(reference, prediction, 8)
    assert lesions.iou() == pytest.approx([1 / 5, 2 / 6, 1 / 5])
    chosen = lesions.pairs[lesions.match(0.1)]
    assert chosen.tolist() == [[0, 0], [1, 1]]
    assert lesions.pairs[lesions.match(0.3)].tolist() == [[1, 0]]


@pytest.mark.parametrize("competing", [False, True])
def test_tens_of_thousands_of_lesions_match_in_bounded_memory(competing):
    number = 12_000 if competing else 32_000
    place = np.arange(8 * number)
    reference, prediction = np.zeros((2, 3, place.size), dtype=bool)
    reference[1] = np.isin(place % 8, (1, 2, 3, 4))
    if competing:  # every second lesion has two possible partners
        prediction[1] = np.isin(place % 16, (0, 1, 2, 4, 5, 6, 9, 10))
    else:
        prediction[1] = np.isin(place % 8, (3, 4, 5, 6))
    tracemalloc.start()
    try:
        found = evaluation.lesion_recall(reference, prediction, lesion_iou=0.15)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == 1
    assert peak < 100e6


def test_a_chain_of_lesions_that_all_compete_matches_without_a_table_of_all():
    number = 6000
    place = np.arange(8 * number + 8)
    reference, prediction = np.zeros((2, 1, place.size), dtype=bool)
    reference[0] = place % 8 < 6
    prediction[0] = (place + 4) % 8 < 6
    lesions = find_lesions(reference, prediction, 8)
    assert lesions.iou()[1:-1] == pytest.approx(2 / 10)
    tracemalloc.start()
    try:
        matched = lesions.match(0.1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(matched) == len(lesions.reference_voxels)
    assert peak < 100e6
