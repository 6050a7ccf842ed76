"""Laws that metrics obey whatever the masks are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import evaluation
from evaluation.metrics import METRICS
from evaluation.settings import SURFACES
from tests.evaluation.conftest import call

OF_MASKS = [name for name, metric in METRICS.items() if metric.of_masks]
DISTANCES = ["hd", "hd95", "asd", "assd", "masd"]
SYMMETRIC = ["dice", "iou", "hd", "hd95", "assd", "masd", "nsd", "panoptic_quality"]
masks = npst.arrays(bool, (5, 6, 7))
spacings = st.tuples(*[st.sampled_from((0.5, 1.0, 1.7, 3.0))] * 3)
laws = settings(deadline=None, max_examples=25)


def value(name, reference, prediction, spacing=(1, 1, 1), **more):
    return call(name, reference, prediction, spacing, **more)


def same(first, second, rel=1e-12):
    return (math.isnan(first) and math.isnan(second)) or first == pytest.approx(second, rel=rel)


@laws
@given(masks)
def test_a_mask_agrees_with_itself(mask):
    for name in ("dice", "iou", "nsd", "lesion_f1", "panoptic_quality"):
        assert value(name, mask, mask, both_empty="best") == 1
    for name in DISTANCES:
        assert value(name, mask, mask, both_empty="best") == 0


@laws
@given(masks, masks, spacings, st.sampled_from(SURFACES))
def test_symmetric_metrics_are_symmetric(first, second, spacing, surface):
    for name in SYMMETRIC:
        one = value(name, first, second, spacing, surface=surface)
        assert same(one, value(name, second, first, spacing, surface=surface))


@laws
@given(masks, masks, spacings, st.permutations(range(3)), st.sampled_from(SURFACES))
def test_axes_may_be_flipped_and_exchanged_with_the_spacing(first, second, spacing, order, surface):
    for name in OF_MASKS:
        one = value(name, first, second, spacing, surface=surface)
        flipped = value(name, first[::-1, :, ::-1], second[::-1, :, ::-1], spacing, surface=surface)
        turned = value(
            name,
            first.transpose(order),
            second.transpose(order),
            tuple(spacing[axis] for axis in order),
            surface=surface,
        )
        assert same(one, flipped)
        assert same(one, turned)


@laws
@given(masks, masks, spacings, st.sampled_from(SURFACES))
def test_distances_scale_with_the_spacing(first, second, spacing, surface):
    doubled = tuple(2 * step for step in spacing)
    for name in DISTANCES:
        one = value(name, first, second, spacing, surface=surface)
        assert same(2 * one, value(name, first, second, doubled, surface=surface))
    one = value("nsd", first, second, spacing, surface=surface, tolerance_mm=1)
    assert same(one, value("nsd", first, second, doubled, surface=surface, tolerance_mm=2))


@laws
@given(masks, masks, st.sampled_from(SURFACES))
def test_empty_space_around_changes_not_a_bit(first, second, surface):
    wide = [np.pad(mask, ((3, 1), (0, 4), (2, 2))) for mask in (first, second)]
    for name in set(OF_MASKS) - {"specificity"}:
        one = value(name, first, second, (2, 1, 1.5), surface=surface, one_empty="inf")
        other = value(name, *wide, (2, 1, 1.5), surface=surface, one_empty="inf")
        assert one == other or (math.isnan(one) and math.isnan(other))


@laws
@given(npst.arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 3)), st.permutations((1, 2, 3)))
def test_classes_may_be_numbered_otherwise(labels, numbers):
    prediction = np.roll(labels, 1, axis=1)
    table = np.array([0, *numbers], dtype=np.uint8)
    one = evaluation.score_arrays(labels, prediction, {str(v): (v,) for v in (1, 2, 3)})
    other = evaluation.score_arrays(
        table[labels], table[prediction], {str(v): (numbers[v - 1],) for v in (1, 2, 3)}
    )
    for name in ("1", "2", "3"):
        for metric, found in one[name].items():
            assert found == other[name][metric] or math.isnan(found)
