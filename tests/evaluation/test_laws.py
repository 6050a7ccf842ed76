"""Laws that metrics obey whatever the masks are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import evaluation
from evaluation.measures.masks import MaskPair
from evaluation.metrics import METRICS, choose
from evaluation.settings import SURFACES, Settings

OF_MASKS = [name for name, metric in METRICS.items() if metric.of_masks]
DISTANCES = ["hd", "hd95", "asd", "assd", "masd"]
SYMMETRIC = ["dice", "iou", "hd", "hd95", "assd", "masd", "nsd", "panoptic_quality"]
masks = npst.arrays(bool, (5, 6, 7))
spacings = st.tuples(*[st.sampled_from((0.5, 1.0, 1.7, 3.0))] * 3)
laws = settings(deadline=None, max_examples=25)


def value(name, reference, prediction, spacing=(1, 1, 1), **more):
    return getattr(evaluation, name)(reference, prediction, spacing, **more)


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


@pytest.mark.parametrize("surface", SURFACES)
def test_far_masks_in_a_large_grid_are_measured_exactly(surface):
    first, second = np.zeros((2, 60, 70, 80), dtype=bool)
    first[2:6, 3:9, 4:9] = second[50:55, 60:66, 70:75] = True
    spacing = (2.0, 0.7, 0.8)
    exact = np.linalg.norm((np.array((50, 60, 70)) - (2, 3, 4)) * spacing)
    found = value("hd", first, second, spacing, surface=surface)
    assert found == pytest.approx(exact, rel=0.05)
    assert found >= value("hd95", first, second, spacing, surface=surface)


@pytest.mark.parametrize(("policy", "number"), [("nan", math.nan), ("0", 0), ("inf", math.inf)])
def test_empty_masks_have_the_value_of_the_policy(policy, number):
    empty, full = np.zeros((4, 4, 4), dtype=bool), np.ones((4, 4, 4), dtype=bool)
    for name in ("hd95", "nsd", "assd"):
        assert same(value(name, empty, empty, both_empty=policy), number)
        assert same(value(name, full, empty, one_empty=policy), number)
    assert same(value("dice", empty, empty, both_empty=policy), number)


def test_a_missed_structure_costs_the_image_diagonal():
    empty, full = np.zeros((4, 4, 4), dtype=bool), np.ones((4, 4, 4), dtype=bool)
    assert value("hd95", full, empty, (1, 2, 3)) == pytest.approx(4 * math.sqrt(14))
    assert value("nsd", full, empty) == 0


def test_lesions_match_one_to_one_at_an_iou():
    reference, prediction = np.zeros((2, 1, 20, 20), dtype=bool)
    reference[0, 2:6, 2:6] = reference[0, 10:14, 10:14] = True
    prediction[0, 2:6, 2:14] = True  # IoU 1/3 with the first lesion
    prediction[0, 10:13, 10:14] = prediction[0, 17:19, 17:19] = True
    given_masks = (reference, prediction)
    assert value("lesion_recall", *given_masks) == 1
    assert value("lesion_precision", *given_masks) == pytest.approx(2 / 3)
    assert value("lesion_recall", *given_masks, lesion_iou=0.5) == 0.5
    assert value("lesion_recall", *given_masks, lesion_iou=0.3) == 1
    assert value("panoptic_quality", *given_masks) == pytest.approx(0.75 * 2 / 5)
    assert value("recognition_quality", *given_masks) == pytest.approx(2 / 5)
    assert value("segmentation_quality", *given_masks) == pytest.approx(0.75)
    assert value("lesion_dice", *given_masks) == pytest.approx((32 / 64 + 24 / 28) / 2)
    assert value("lesion_count", *given_masks) == 2
    assert value("predicted_lesion_count", *given_masks) == 3


def test_lesions_are_parted_by_size():
    reference = np.zeros((10, 40, 40), dtype=bool)
    reference[2, 2, 2] = reference[2:8, 10:20, 10:20] = True
    prediction = reference.copy()
    prediction[2, 2, 2] = False
    (small, large) = choose(("lesion_recall:-0.1ml", "lesion_recall:0.1-ml"), Settings())
    pair = MaskPair(reference, prediction)
    assert small.metric.of_masks(pair, small.settings) == 0
    assert large.metric.of_masks(pair, large.settings) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dise", "Metric 'dise' is unknown"),
        ("hd95:medpi", "Variant 'medpi' is unknown; this metric has: deepmind"),
        ("dice:2mm", "this metric has: none"),
    ],
)
def test_unknown_metrics_and_variants_are_named(name, message):
    with pytest.raises(evaluation.EvaluationError, match=message):
        choose([name], Settings())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"both_empty": "bad"}, "both empty 'bad'"),
        ({"surface": "x"}, "Surface 'x'"),
        ({"connectivity": 7}, "Connectivity 7"),
        ({"region": "x"}, "Region 'x'"),
        ({"tolerance_mm": -1.0}, "Tolerance -1"),
        ({"num_bins": 0}, "Bins"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(evaluation.EvaluationError, match=message):
        Settings(**change)
