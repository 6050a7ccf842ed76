"""Overlap."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import evaluation

maps = npst.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))

CLASSES = {"one": (1,), "two": (2,), "both": (1, 2)}


@settings(deadline=None)
@given(maps)
def test_dice_of_a_map_with_itself_is_one_or_does_not_count(reference):
    for name, values in evaluation.score_arrays(reference, reference, CLASSES).items():
        is_there = np.isin(reference, CLASSES[name]).any()
        assert values["dice"] == 1 if is_there else math.isnan(values["dice"])


@settings(deadline=None)
@given(maps, maps)
def test_dice_is_symmetric(first, second):
    one = evaluation.score_arrays(first, second, CLASSES)["both"]["dice"]
    two = evaluation.score_arrays(second, first, CLASSES)["both"]["dice"]
    assert one == two or (math.isnan(one) and math.isnan(two))
