from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from autoseg.errors import ImageError
from autoseg.images.files import from_sitk
from autoseg.preprocessing.case import preprocess_array, preprocess_case
from autoseg.preprocessing.normalisation import NORMALISATIONS
from autoseg.schema.dataset import Case
from autoseg.schema.geometry import Geometry
from autoseg.schema.orientation import ORIENTATIONS
from autoseg.schema.plan import ChannelPlan, IntensityStatistics
from tests.conftest import REGIONS, SCHEME, make_configuration
from tests.tools.streamed import restore_prediction, restore_probabilities, transfer

DIRECTIONS = [
    (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0),
    (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0),
    (0, 0, -1.0, 1.0, 0, 0, 0, 1.0, 0),
]


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(2, 12)] * 3),
    st.permutations([0, 1, 2]),
    st.sampled_from(DIRECTIONS),
    st.sampled_from([None, "LPS"]),
    st.integers(0, 3),
)
def test_restoring_the_labels_at_equal_spacing_gives_them_back(
    shape, transpose, direction, orientation, margin
):
    rng = np.random.default_rng(0)
    image = np.zeros((1, *(size + 2 * margin for size in shape)), dtype=np.float32)
    inner = tuple(slice(margin, margin + size) for size in shape)
    image[(0, *inner)] = rng.uniform(1, 2, shape)
    labels = np.zeros(image.shape[1:], dtype=np.uint8)
    labels[inner] = rng.integers(0, 3, shape)
    geometry = Geometry(
        shape=labels.shape, spacing_mm=(2.0, 1.0, 1.5), origin_mm=(0, 0, 0), direction=direction
    )
    configuration = make_configuration(
        spacing_mm=(None, None, None), transpose=tuple(transpose), orientation=orientation
    )
    done = preprocess_array(image, geometry, configuration, labels=labels[None])
    assert done.image.shape[1:] == done.labels.shape[1:] == done.trace.shape
    assert sorted(done.trace.shape) == sorted(shape)
    logits = np.stack([(done.labels[0] == value) * 1.0 for value in range(3)])
    restored = restore_prediction(logits, done.trace, SCHEME)
    assert (restored == labels).all()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(ORIENTATIONS),
    st.sampled_from(ORIENTATIONS),
    st.permutations([0, 1, 2]),
    st.booleans(),
)
def test_an_image_in_any_orientation_becomes_the_same_network_input(
    learnt, stored, transpose, use_mask
):
    rng = np.random.default_rng(0)
    image = sitk.GetImageFromArray(rng.uniform(1, 2, (5, 9, 7)).astype(np.float32))
    image[0, 0, 0] = 0
    image.SetSpacing((1.0, 1.3, 2.0))
    labels = sitk.GetImageFromArray(rng.integers(0, 3, (5, 9, 7)).astype(np.uint8))
    configuration = make_configuration(
        orientation=learnt,
        transpose=tuple(transpose),
        spacing_mm=(1.5, 1.1, 1.0),
        channels=(ChannelPlan(name="T1", normalisation="zscore", use_mask=use_mask),),
    )
    made = []
    for orientation in (learnt, stored):
        array, geometry = from_sitk([sitk.DICOMOrient(image, orientation)])
        outline = sitk.GetArrayFromImage(sitk.DICOMOrient(labels, orientation))
        made.append(preprocess_array(array, geometry, configuration, labels=outline[None]))
    assert np.array_equal(made[0].image, made[1].image)
    assert np.array_equal(made[0].labels, made[1].labels)


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.integers(1, 20)] * 3), st.tuples(*[st.floats(0.5, 6)] * 3))
def test_restored_predictions_always_have_the_image_geometry(shape, spacing):
    image = np.random.default_rng(1).uniform(1, 2, (1, *shape)).astype(np.float32)
    geometry = Geometry(
        shape=shape, spacing_mm=spacing, origin_mm=(0, 0, 0), direction=DIRECTIONS[0]
    )
    done = preprocess_array(image, geometry, make_configuration(spacing_mm=(2.0, 1.0, 1.0)))
    logits = np.random.default_rng(2).normal(size=(3, *done.trace.shape)).astype(np.float32)
    assert restore_prediction(logits, done.trace, SCHEME).shape == shape
    probabilities = restore_probabilities(logits, done.trace, SCHEME)
    assert probabilities.shape == (3, *shape)
    assert np.allclose(probabilities.sum(axis=0), 1, atol=1e-5)


def test_labels_agree_with_the_probabilities():
    geometry = Geometry(
        shape=(5, 20, 20), spacing_mm=(5, 1, 1), origin_mm=(0, 0, 0), direction=DIRECTIONS[0]
    )
    image = np.random.default_rng(1).uniform(1, 2, (1, 5, 20, 20)).astype(np.float32)
    configuration = make_configuration(spacing_mm=(2.5, 1.4, 1.4))
    trace = preprocess_array(image, geometry, configuration).trace
    logits = np.random.default_rng(2).normal(size=(3, *trace.shape)).astype(np.float32)
    labels = restore_prediction(logits, trace, SCHEME)
    assert (labels == restore_probabilities(logits, trace, SCHEME).argmax(axis=0)).all()


def test_regions_are_painted_in_their_order():
    geometry = Geometry(
        shape=(1, 1, 3), spacing_mm=(1, 1, 1), origin_mm=(0, 0, 0), direction=DIRECTIONS[0]
    )
    configuration = make_configuration(spacing_mm=(1.0, 1.0, 1.0), labels=REGIONS)
    trace = preprocess_array(np.ones((1, 1, 1, 3), np.float32), geometry, configuration).trace
    logits = np.array([[[[1.0, 1, -1]]], [[[-1.0, 1, -1]]]], dtype=np.float32)
    assert restore_prediction(logits, trace, REGIONS).ravel().tolist() == [1, 2, 0]


def test_ct_is_clipped_and_standardised_by_the_statistics_of_the_plan():
    statistics = IntensityStatistics(
        mean=10, median=0, std=5, minimum=-99, maximum=99, percentile_00_5=0, percentile_99_5=20
    )
    channel = ChannelPlan(name="CT", normalisation="ct", use_mask=False, statistics=statistics)
    image = np.array([-50, 0, 15, 90], dtype=np.float32).reshape(1, 1, 2, 2)
    geometry = Geometry(
        shape=(1, 2, 2), spacing_mm=(1, 1, 1), origin_mm=(0, 0, 0), direction=DIRECTIONS[0]
    )
    configuration = make_configuration(spacing_mm=(1.0, 1.0, 1.0), channels=(channel,))
    done = preprocess_array(image, geometry, configuration)
    assert done.image.ravel().tolist() == [-2, -2, 1, 2]


def test_masked_zscore_leaves_the_outside_at_zero():
    channel = ChannelPlan(name="T1", normalisation="zscore", use_mask=True)
    image = np.zeros((1, 4, 4, 4), dtype=np.float32)
    image[0, 1:3, 1:3, 1:3] = np.arange(1, 9).reshape(2, 2, 2)
    image[0, 0, 0, 0] = image[0, 3, 3, 3] = 4.5
    geometry = Geometry(
        shape=(4, 4, 4), spacing_mm=(1, 1, 1), origin_mm=(0, 0, 0), direction=DIRECTIONS[0]
    )
    configuration = make_configuration(spacing_mm=(1.0, 1.0, 1.0), channels=(channel,))
    done = preprocess_array(image, geometry, configuration).image[0]
    inside = image[0] != 0
    assert (done[~inside] == 0).all()
    assert abs(done[inside].mean()) < 1e-6
    assert abs(done[inside].std() - 1) < 1e-5


def test_another_number_of_channels_is_an_error():
    geometry = Geometry(
        shape=(2, 2, 2), spacing_mm=(1, 1, 1), origin_mm=(0, 0, 0), direction=DIRECTIONS[0]
    )
    with pytest.raises(ImageError, match=r"has 2 channels, the model expects 1 \(MRI\)"):
        preprocess_array(np.ones((2, 2, 2, 2), np.float32), geometry, make_configuration())


def test_an_unknown_label_is_named_with_its_file(tmp_path):
    for name, value in (("i", 1), ("l", 9)):
        array = np.full((3, 3, 3), value, dtype=np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"{name}.nii.gz"))
    case = Case(identifier="a", images=(tmp_path / "i.nii.gz",), label=tmp_path / "l.nii.gz")
    with pytest.raises(
        ImageError, match=r"l\.nii\.gz: unknown label value 9; dataset.json knows 0, 1, 2"
    ):
        preprocess_case(case, make_configuration())


def test_predictions_move_between_the_grids_of_two_configurations():
    z, y, x = np.meshgrid(*(np.arange(size) for size in (12, 20, 16)), indexing="ij")
    smooth = (0.1 * z + 0.05 * y - 0.02 * x + 2).astype(np.float32)[None]
    geometry = Geometry(
        shape=(12, 20, 16),
        spacing_mm=(2.0, 1.0, 1.5),
        origin_mm=(0.0, 0.0, 0.0),
        direction=(-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0),
    )
    plain = make_configuration(
        channels=(ChannelPlan(name="a", normalisation="none", use_mask=False),),
        spacing_mm=(2.0, 1.0, 1.5),
    )
    turned = replace(plain, orientation="LPS", transpose=(2, 0, 1), spacing_mm=(3.0, 2.0, 2.0))
    here, there = (preprocess_array(smooth, geometry, item) for item in (plain, turned))
    moved = transfer(here.image, here.trace, there.trace)
    assert moved.shape == there.image.shape
    inside = (0, *(slice(2, -2),) * 3)
    assert np.abs(moved - there.image)[inside].max() < 0.03
    same = transfer(here.image, here.trace, here.trace)
    assert np.allclose(same, here.image)


def test_percentiles_ignore_outliers():
    values = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(10, 25, 40)
    values[0, 0, 0] = 1e6
    scaled = NORMALISATIONS["percentile"](values, None, None)
    assert scaled.dtype == np.float32
    assert scaled.min() == 0
    assert scaled.max() == 1
    assert abs(float(np.median(scaled)) - 0.5) < 0.01
