from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoseg.datasets.folder import read_dataset
from autoseg.errors import InputError
from autoseg.preprocessing.stage_store import StageStore
from autoseg.preprocessing.store import Store, StoredCase, preprocess_cases
from autoseg.training.patches import PatchSampler, read_box
from tests.conftest import make_configuration


@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(-3, 12)] * 3),
    st.tuples(*[st.integers(1, 8)] * 3),
)
def test_boxes_are_padded_with_zero_where_they_leave_the_case(shape, centre, size):
    volume = np.random.default_rng(0).uniform(1, 2, (2, *shape))
    pad = 20
    padded = np.pad(volume, [(0, 0)] + [(pad, pad)] * 3)
    start = [pad + c - s // 2 for c, s in zip(centre, size, strict=True)]
    index = tuple(slice(low, low + length) for low, length in zip(start, size, strict=True))
    found = read_box(volume, centre, size, channels=True)
    assert (found == padded[(slice(None), *index)]).all()


@pytest.fixture
def sampler(tiny_dataset, tmp_path, configuration):
    cases = read_dataset(tiny_dataset)[0].cases
    preprocess_cases(cases, {tmp_path / "s": configuration}, workers=1)
    names = [case.identifier for case in cases]
    return PatchSampler(
        Store(tmp_path / "s"), names, replace(configuration, patch_size=(8, 12, 10))
    )


def test_patches_stay_in_the_case_where_they_can(sampler):
    rng = np.random.default_rng(0)
    for _ in range(100):
        _, case = sampler.draw_case(rng)
        centre = sampler.draw_centre(rng, case, foreground=bool(rng.random() < 0.5))
        for position, size, need in zip(centre, case.shape, (8, 12, 10), strict=True):
            assert need // 2 <= position <= size - (need - need // 2)


def test_the_borders_of_a_case_are_seen_as_often_as_its_middle(sampler):
    rng = np.random.default_rng(0)
    _, case = sampler.draw_case(rng)
    drawn = np.array([sampler.draw_centre(rng, case, foreground=False) for _ in range(2000)])
    for axis, (size, need) in enumerate(zip(case.shape, (8, 12, 10), strict=True)):
        at_start = (drawn[:, axis] == need // 2).mean()
        # All centres up to half a patch from the border are moved to half a patch.
        assert abs(at_start - (need // 2 + 1) / size) < 0.05 or size <= need


def test_forced_patches_hold_foreground(sampler):
    rng = np.random.default_rng(0)
    for _ in range(50):
        name, case = sampler.draw_case(rng)
        patch = sampler.read(name, case, sampler.draw_centre(rng, case, foreground=True), None)
        assert patch.image.shape == (1, 8, 12, 10)
        assert patch.labels.any()


def test_two_axes_draw_slices(sampler):
    slices = PatchSampler(sampler.store, sampler.cases, make_configuration(patch_size=(32, 16)))
    rng = np.random.default_rng(0)
    name, case = slices.draw_case(rng)
    patch = slices.read(name, case, slices.draw_centre(rng, case, foreground=True), None)
    assert patch.image.shape == (1, 32, 16)
    assert patch.labels.shape == (1, 32, 16)


def test_with_an_ignore_label_centres_are_annotated():
    labels = np.full((6, 6, 6), 2)
    labels[4, 4, 4] = 0
    case = StoredCase(
        image=np.zeros((1, 6, 6, 6), np.float32),
        labels=labels[None],
        shape=(6, 6, 6),
        locations={},
        annotated=np.array([[4, 4, 4]], dtype=np.int32),
    )
    sampler = PatchSampler(Store(None), [], make_configuration(patch_size=(3, 3, 3)))
    assert sampler.draw_centre(np.random.default_rng(0), case, foreground=False) == (4, 4, 4)


def test_a_class_that_is_called_annotated_is_drawn_like_any_other():
    case = StoredCase(
        image=np.zeros((1, 6, 6, 6), np.float32),
        labels=np.zeros((1, 6, 6, 6), np.uint8),
        shape=(6, 6, 6),
        locations={"annotated": np.array([[4, 3, 2]], dtype=np.int32)},
    )
    sampler = PatchSampler(Store(None), [], make_configuration(patch_size=(1, 1, 1)))
    rng = np.random.default_rng(0)
    assert sampler.draw_centre(rng, case, foreground=True) == (4, 3, 2)
    drawn = {sampler.draw_centre(rng, case, foreground=False) for _ in range(50)}
    assert len(drawn) > 30  # anywhere: all of the case is labelled


def test_no_patch_is_drawn_from_cases_that_nobody_labelled(tiny_dataset, tmp_path, configuration):
    cases = read_dataset(tiny_dataset)[0].cases[:3]
    cases = (cases[0], replace(cases[1], label=None), cases[2])
    preprocess_cases(cases, {tmp_path / "s": configuration}, workers=1)
    names = [case.identifier for case in cases]
    for sampling in ("case", "class"):
        training = replace(configuration.training, sampling=sampling)
        sampler = PatchSampler(
            Store(tmp_path / "s"), names, replace(configuration, training=training)
        )
        rng = np.random.default_rng(0)
        drawn = {sampler.draw(rng, foreground=bool(index % 2))[0] for index in range(60)}
        assert drawn == {names[0], names[2]}
    with pytest.raises(InputError, match="none of the 1 cases is labelled"):
        PatchSampler(Store(tmp_path / "s"), names[1:2], configuration)


def volume_case(shape=(7, 6, 5)):
    """A case whose voxels say where they are: 100 z + 10 y + x; two raters, z and z + 1."""
    z, y, x = np.meshgrid(*map(np.arange, shape), indexing="ij")
    image = (100 * z + 10 * y + x)[None].astype(np.float32)
    labels = np.stack([z, z + 1]).astype(np.uint8)
    return StoredCase(image=image, labels=labels, shape=shape, locations={})


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbouring_slices_become_channels_and_the_last_ones_are_repeated(axis):
    case = volume_case()
    size = tuple(length for other, length in enumerate(case.shape) if other != axis)
    item = make_configuration(patch_size=size, num_slices=5, slice_axis=axis)
    sampler = PatchSampler(Store(None), [], item)
    for position in range(case.shape[axis]):
        centre = [length // 2 for length in case.shape]
        centre[axis] = position
        patch = sampler.read("c", case, centre, None)
        wanted = np.clip(np.arange(position - 2, position + 3), 0, case.shape[axis] - 1)
        expected = np.moveaxis(case.image[0].take(wanted, axis), axis, 0)
        assert (patch.image == expected).all()
        assert (patch.labels == case.labels.take(position, axis + 1)).all()


def test_neighbouring_slices_of_thinner_ones_lie_as_far_apart_as_planned(monkeypatch):
    store, case = Store(None), volume_case()
    trace = SimpleNamespace(target_mm=(2.5, 1.0, 1.0))
    monkeypatch.setattr(store, "trace", lambda _: trace)
    item = make_configuration(patch_size=(6, 5), num_slices=3, slice_distance_mm=5.0)
    patch = PatchSampler(store, [], item).read("c", case, (3, 3, 2), None)
    assert (patch.image == case.image[0, [1, 3, 5]]).all()


def test_predictions_of_the_previous_stage_come_with_the_patch(tmp_path):
    case = volume_case()
    store = StageStore(tmp_path)
    store.write("c", case.labels[:1], "model")
    item = make_configuration(patch_size=(3, 3, 3))
    patch = PatchSampler(Store(None), [], item, store).read("c", case, (3, 3, 2), None)
    assert (patch.previous == patch.labels[:1]).all()
    assert store.is_complete("c", "model")
    assert not store.is_complete("c", "another model")
    assert not store.is_complete("d", "model")


def test_rare_classes_are_drawn_as_often_as_common_ones(tiny_dataset, tmp_path, configuration):
    cases = read_dataset(tiny_dataset)[0].cases
    preprocess_cases(cases, {tmp_path / "s": configuration}, workers=1)
    store = Store(tmp_path / "s")
    names = [case.identifier for case in cases]
    # The vessel is only in one case.
    for name in names[1:]:
        del store.read(name).locations["vessel"]
    shares = {}
    for sampling in ("case", "class"):
        training = replace(configuration.training, sampling=sampling)
        sampler = PatchSampler(store, names, replace(configuration, training=training))
        rng = np.random.default_rng(0)
        vessels = 0
        for _ in range(300):
            _, case, _ = sampler.draw(rng, foreground=True)
            vessels += case is store.read(names[0])
        shares[sampling] = vessels / 300
    assert shares["case"] == pytest.approx(1 / 6, abs=0.08)
    assert shares["class"] == pytest.approx(1 / 2 + 1 / 12, abs=0.1)
