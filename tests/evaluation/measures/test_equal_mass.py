"""Bins that hold equal numbers of voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from evaluation.measures.equal_mass import HALF, MassCounts, equal_mass, find_places

FIXED = float(1 << 32)
probabilities = npst.arrays(np.float32, 40, elements=st.floats(0, 1, width=32))


def counted(confidence, right):
    counts = MassCounts()
    counts.count(find_places(confidence), np.rint(confidence * FIXED), right)
    return counts


@settings(deadline=None)
@given(probabilities, st.integers(1, 50))
def test_bins_differ_by_one_voxel_at_most_and_lose_none(confidence, number):
    right = np.arange(len(confidence)) % 3 == 0
    bins = equal_mass(counted(confidence, right), number)
    assert bins.voxels.sum() == len(confidence)
    assert bins.voxels.max() - bins.voxels.min() <= 1
    assert bins.right.sum() == pytest.approx(right.sum())
    assert bins.confidence.sum() / FIXED == pytest.approx(confidence.sum(dtype=float), abs=1e-6)
    assert (np.diff(bins.low) >= 0).all()


@settings(deadline=None)
@given(probabilities)
def test_fine_bins_ascend_with_the_probability(confidence):
    places = find_places(np.sort(confidence))
    assert (np.diff(places) >= 0).all()
    assert places.min() >= 0
    assert places.max() < 2 * HALF


def test_fine_bins_are_as_fine_near_both_ends():
    ends = np.array([1e-9, 1.02e-9, 1e-5, 1.02e-5], dtype=np.float32)
    assert len(set(find_places(ends).tolist())) == 4
    mirrored = np.array([1 - 1e-3, 1 - 1.02e-3, 1 - 1e-5, 1 - 1.02e-5], dtype=np.float32)
    assert len(set(find_places(mirrored).tolist())) == 4
    assert find_places(np.array([0, 1], dtype=np.float32)).tolist() == [0, 2 * HALF - 1]


def test_a_probability_of_more_voxels_than_a_bin_holds_fills_several_bins():
    confidence = np.array([0.25] * 6 + [0.75] * 2, dtype=np.float32)
    right = np.array([0, 0, 0, 1, 1, 1, 1, 1], dtype=bool)
    bins = equal_mass(counted(confidence, right), 4)
    assert bins.voxels.tolist() == [2, 2, 2, 2]
    assert (bins.right / bins.voxels).tolist() == [0.5, 0.5, 0.5, 1]
    assert (bins.confidence / FIXED / bins.voxels).tolist() == [0.25, 0.25, 0.25, 0.75]


def test_nothing_fills_no_bin():
    assert equal_mass(MassCounts(), 3).voxels.tolist() == [0, 0, 0]
