"""Counts of voxels, against boolean masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from evaluation.errors import EvaluationError
from evaluation.measures.voxel_counts import count_classes, joint_histogram

maps = npst.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))

CLASSES = {"one": (1,), "two": (2,), "both": (1, 2)}


@settings(deadline=None)
@given(maps, maps)
def test_counts_are_those_of_boolean_masks(reference, prediction):
    counts = count_classes(reference, prediction, CLASSES)
    for name, values in CLASSES.items():
        first, second = np.isin(reference, values), np.isin(prediction, values)
        found = counts[name]
        assert found.true_positive == (first & second).sum()
        assert found.false_positive == (~first & second).sum()
        assert found.false_negative == (first & ~second).sum()
        assert found.true_negative == (~first & ~second).sum()


def test_ignored_voxels_do_not_count():
    reference, prediction = np.array([1, 1, 9, 9, 0]), np.array([1, 0, 1, 0, 0])
    counts = count_classes(reference, prediction, {"a": (1,)}, ignore=9)["a"]
    assert (counts.true_positive, counts.false_positive, counts.false_negative) == (1, 0, 1)
    assert counts.true_negative == 1


def test_large_and_negative_values_are_counted():
    reference, prediction = np.array([-5, 10**6, 0]), np.array([10**6, 10**6, 0])
    found = joint_histogram(reference, prediction)
    assert found.values.tolist() == [-5, 0, 10**6]
    assert found.voxels.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 1]]
    assert found.in_reference == {-5, 0, 10**6}
    assert found.in_prediction == {0, 10**6}


@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_an_image_in_the_place_of_labels_takes_no_memory(dtype):
    image = np.arange(20_000).astype(dtype)
    with pytest.raises(EvaluationError, match="20000 different values are too many"):
        joint_histogram(image, image)
