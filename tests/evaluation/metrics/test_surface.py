"""Surface distances and their values for empty masks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.settings import SURFACES
from tests.evaluation.conftest import call


def value(name, reference, prediction, spacing=(1, 1, 1), **more):
    return call(name, reference, prediction, spacing, **more)


def same(first, second, rel=1e-12):
    return (math.isnan(first) and math.isnan(second)) or first == pytest.approx(second, rel=rel)


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
