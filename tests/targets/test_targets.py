from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from autoseg.errors import UnknownNameError
from autoseg.preprocessing import raters as references
from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.targets import TARGETS
from autoseg.targets.batch import stack_targets
from autoseg.targets.soft import harden
from tests.conftest import REGIONS, SCHEME

IGNORING = LabelScheme(classes=SCHEME.classes, ignore=9)
IGNORING_REGIONS = LabelScheme(classes=REGIONS.classes, regions_order=(1, 2), ignore=9)
SCHEMES = {
    "labels": SCHEME,
    "regions": REGIONS,
    "ignoring": IGNORING,
    "ignoring regions": IGNORING_REGIONS,
}


def make(name, maps, scheme=SCHEME, seed=0):
    raters = torch.as_tensor(np.asarray(maps), dtype=torch.int64)
    return TARGETS[name](raters, scheme, np.random.default_rng(seed))


def expected(scheme, label_map):
    """A label map as a target, voxel by voxel."""
    label_map = np.asarray(label_map)
    valid = None if scheme.ignore is None else [label_map != scheme.ignore_index]
    if not scheme.has_regions:
        return np.where(label_map == (scheme.ignore_index or -1), 0, label_map), valid
    return np.array([np.isin(label_map, indices) for indices in scheme.class_indices]), valid


def equal(found, wanted):
    (target, mask), (target_wanted, mask_wanted) = found, wanted
    assert np.array_equal(np.asarray(target), target_wanted)
    assert (mask is None) == (mask_wanted is None)
    assert mask is None or np.array_equal(np.asarray(mask), mask_wanted)


def maps_of(scheme):
    highest = scheme.num_indices - (scheme.ignore is None)
    shape = st.tuples(st.integers(1, 5), st.just(2), st.just(3))
    return arrays.arrays(np.uint8, shape, elements=st.integers(0, highest))


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@settings(max_examples=30)
@given(data=st.data())
def test_the_majority_is_that_of_the_references(scheme, data):
    maps = data.draw(maps_of(scheme))
    equal(make("majority", maps, scheme), expected(scheme, references.majority(maps, scheme)))


@pytest.mark.parametrize("name", ["majority", "random_rater"])
@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_the_hard_target_of_one_rater_is_his_label_map(name, scheme):
    maps = np.arange(4).reshape(1, 2, 2) % (scheme.num_indices + (scheme.ignore is not None))
    equal(make(name, maps, scheme), expected(scheme, maps[0]))


def test_types_and_shapes_are_those_of_the_contract():
    maps = np.zeros((3, 4, 5, 6))
    target, mask = make("majority", maps)
    assert (target.dtype, tuple(target.shape), mask) == (torch.int64, (4, 5, 6), None)
    target, mask = make("majority", maps, IGNORING_REGIONS)
    assert (target.dtype, tuple(target.shape)) == (torch.bool, (2, 4, 5, 6))
    assert (mask.dtype, tuple(mask.shape)) == (torch.bool, (1, 4, 5, 6))
    target, mask = make("soft", maps, IGNORING)
    assert (target.dtype, tuple(target.shape)) == (torch.float32, (3, 4, 5, 6))
    assert (mask.dtype, tuple(mask.shape)) == (torch.bool, (1, 4, 5, 6))


def test_shares_are_counted_by_hand():
    maps = [[0, 1, 1, 2], [0, 1, 2, 2], [0, 1, 0, 1], [0, 1, 0, 0]]
    target, mask = make("soft", maps)
    assert target.tolist() == [[1, 0, 0.5, 0.25], [0, 1, 0.25, 0.25], [0, 0, 0.25, 0.5]]
    assert mask is None
    # Regions: the second one is part of the first.
    target, _ = make("soft", maps, REGIONS)
    assert target.tolist() == [[0, 1, 0.5, 0.75], [0, 0, 0.25, 0.5]]


def test_who_ignores_a_voxel_does_not_count_in_its_shares():
    maps = [[3, 3, 0], [1, 3, 3], [2, 3, 3]]
    target, mask = make("soft", maps, IGNORING)
    assert target.tolist() == [[0, 1, 1], [0.5, 0, 0], [0.5, 0, 0]]
    assert mask.tolist() == [[True, False, True]]
    target, mask = make("soft", maps, IGNORING_REGIONS)
    assert target.tolist() == [[1, 0, 0], [0.5, 0, 0]]
    assert mask.tolist() == [[True, False, True]]


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@settings(max_examples=30)
@given(data=st.data())
def test_shares_of_labels_add_up_to_one(scheme, data):
    target, _ = make("soft", data.draw(maps_of(scheme)), scheme)
    assert ((target >= 0) & (target <= 1)).all()
    if not scheme.has_regions:
        assert torch.allclose(target.sum(0), torch.ones(2, 3))


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@settings(max_examples=30)
@given(data=st.data())
def test_the_soft_target_of_one_rater_is_his_hard_one(scheme, data):
    maps = data.draw(maps_of(scheme))[:1]
    soft, mask = make("soft", maps, scheme)
    hard, hard_mask = make("majority", maps, scheme)
    assert (harden(soft[None], has_regions=scheme.has_regions)[0] == hard).all()
    assert mask is hard_mask or (mask == hard_mask).all()


def test_a_soft_target_hardens_to_what_most_raters_say():
    maps = np.random.default_rng(0).integers(0, 3, (4, 30, 30))
    soft, _ = make("soft", maps)
    hard, _ = make("majority", maps)
    agreed = harden(soft[None], has_regions=False)[0]
    assert (agreed == hard).all()


def test_every_rater_is_drawn_as_often_as_the_others():
    maps = np.arange(3)[:, None] * np.ones((1, 2), dtype=int)
    drawn = [int(make("random_rater", maps, seed=seed)[0][0]) for seed in range(600)]
    assert np.abs(np.bincount(drawn, minlength=3) / 600 - 1 / 3).max() < 0.06
    rng = np.random.default_rng(5)
    raters = torch.as_tensor(maps)
    again = [int(TARGETS["random_rater"](raters, SCHEME, rng)[0][0]) for _ in range(50)]
    rng = np.random.default_rng(5)
    assert again == [int(TARGETS["random_rater"](raters, SCHEME, rng)[0][0]) for _ in range(50)]


@pytest.mark.parametrize("name", ["majority", "soft"])
def test_targets_without_chance_draw_nothing(name):
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    TARGETS[name](torch.zeros(3, 2, 2, dtype=torch.int64), SCHEME, rng)
    assert rng.bit_generator.state == state


def test_masks_of_a_batch_get_the_same_number_of_channels():
    target = torch.zeros(2, 2, dtype=torch.int64)
    one = torch.tensor([[[True, False], [True, True]]])
    three = torch.stack([~one[0], one[0], one[0]])
    _, mask = stack_targets([(target, None), (target, one), (target, three)])
    assert tuple(mask.shape) == (3, 3, 2, 2)
    assert mask[0].all()
    assert all((mask[1, channel] == one[0]).all() for channel in range(3))
    assert (mask[2] == three).all()
    _, mask = stack_targets([(target, one), (target, None)])
    assert tuple(mask.shape) == (2, 1, 2, 2)
    stacked, mask = stack_targets([(target, None), (target + 1, None)])
    assert mask is None
    assert stacked.tolist() == [[[0, 0], [0, 0]], [[1, 1], [1, 1]]]


def test_an_unknown_target_is_named_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="target 'mean'. Known: majority, random_rater"):
        TARGETS["mean"]


def test_a_region_without_its_labels_in_a_patch_is_empty():
    scheme = LabelScheme(
        classes=(LabelClass(name="a", values=(1, 2)), LabelClass(name="b", values=(4,))),
        regions_order=(1, 4),
    )
    target, _ = make("majority", [[0, 1, 2, 3], [0, 1, 2, 3]], scheme)
    assert target.tolist() == [[False, True, True, False], [False, False, False, True]]
