from __future__ import annotations

import numpy as np

from autoseg.preprocessing.crop import nonzero_box
from autoseg.preprocessing.foreground import annotated_voxels, foreground_locations
from autoseg.schema.labels import LabelClass, LabelScheme
from tests.conftest import REGIONS


def test_regions_are_sampled_from_all_their_labels():
    labels = np.array([[[0, 1, 2, 2]]])
    found = foreground_locations(labels, REGIONS, np.random.default_rng(0))
    assert sorted(found["whole"][:, 2].tolist()) == [1, 2, 3]
    assert sorted(found["core"][:, 2].tolist()) == [2, 3]


def test_with_an_ignore_label_the_annotated_voxels_are_known():
    scheme = LabelScheme(classes=(LabelClass(name="a", values=(1,)),), ignore=2)
    labels = np.array([[[0, 1, 2, 2]]])
    found = foreground_locations(labels, scheme, np.random.default_rng(0))
    assert {name: voxels.tolist() for name, voxels in found.items()} == {"a": [[0, 0, 1]]}
    annotated = annotated_voxels(labels, scheme, np.random.default_rng(0))
    assert sorted(annotated[:, 2].tolist()) == [0, 1]
    assert annotated_voxels(labels * 0 + 2, scheme, np.random.default_rng(0)) is None


def test_without_an_ignore_label_all_voxels_are_annotated():
    assert annotated_voxels(np.array([[[0, 1, 2]]]), REGIONS, np.random.default_rng(0)) is None


def test_a_class_may_be_called_annotated():
    scheme = LabelScheme(classes=(LabelClass(name="annotated", values=(1,)),), ignore=2)
    labels = np.array([[[0, 1, 2, 2]]])
    found = foreground_locations(labels, scheme, np.random.default_rng(0))
    assert found["annotated"].tolist() == [[0, 0, 1]]


def test_large_classes_are_sampled_and_absent_ones_left_out():
    labels = np.ones((40, 40, 40), dtype=np.uint8)
    scheme = LabelScheme(
        classes=(LabelClass(name="a", values=(1,)), LabelClass(name="b", values=(2,)))
    )
    found = foreground_locations(labels, scheme, np.random.default_rng(0))
    assert set(found) == {"a"}
    assert len(found["a"]) == 10_000
    assert len(np.unique(found["a"], axis=0)) == 10_000


def test_the_crop_is_the_box_of_what_is_not_zero_in_any_channel():
    image = np.zeros((2, 5, 6, 7))
    image[0, 1, 2, 3] = 1
    image[1, 3, 2, 5] = -1
    assert nonzero_box(image) == ((1, 4), (2, 3), (3, 6))
    assert nonzero_box(np.zeros((1, 2, 3, 4))) == ((0, 2), (0, 3), (0, 4))
