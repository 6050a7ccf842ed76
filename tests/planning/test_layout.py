"""Orders of labels, and what chance makes of labels that have none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autoseg.datasets.groups import find_groups
from autoseg.planning.layout import axis_layouts
from autoseg.schema import serialise
from autoseg.schema.fingerprint import Fingerprint
from tests.conftest import ROOT
from tests.planning.made_up import made_up


def layouts(cases, centres, groups=None):
    _, fingerprint = made_up(cases=cases, centres=centres)
    return axis_layouts(fingerprint, groups or {}, orientation=None)


def scattered(rng, num_labels, share=1.0):
    """Labels at random places, each in a share of the cases."""
    return lambda _: {
        str(value): tuple(rng.random(3)) for value in range(num_labels) if rng.random() < share
    }


@pytest.mark.parametrize(
    ("cases", "num_labels", "share"),
    [(2, 9, 1), (5, 5, 1), (6, 20, 1), (10, 10, 0.6), (15, 12, 1), (20, 30, 1), (40, 5, 0.5)],
)
def test_randomly_placed_labels_have_no_order(cases, num_labels, share):
    """Fewer than 1 % of the axes; with five cases and labels 40 % have a pair in one order."""
    rng = np.random.default_rng(cases)
    found = [
        layout for _ in range(60) for layout in layouts(cases, scattered(rng, num_labels, share))
    ]
    assert sum(layout.is_ordered for layout in found) < 0.01 * len(found)
    if (cases, num_labels) == (5, 5):
        assert np.mean([layout.num_ordered > 0 for layout in found]) > 0.3


def test_the_bound_of_the_probability_holds():
    """Of axes without order no more have a probability up to p than the share p."""
    rng = np.random.default_rng(0)
    chances = [item.chance for _ in range(700) for item in layouts(7, scattered(rng, 4))]
    for limit in (0.02, 0.05, 0.1, 0.2):
        assert np.mean(np.array(chances) <= limit) <= limit


def row(cases, noise=0.0, num_labels=5, seed=0):
    """Labels one behind the other along z in all cases, anywhere along the other axes."""
    rng = np.random.default_rng(seed)

    def centres(_):
        return {
            str(value): (0.1 + 0.15 * value + rng.normal(0, noise), rng.random(), rng.random())
            for value in range(num_labels)
        }

    return layouts(cases, centres)


@pytest.mark.parametrize(("cases", "is_ordered"), [(5, False), (12, False), (13, True), (20, True)])
def test_an_order_of_all_labels_needs_thirteen_patients(cases, is_ordered):
    z, y, x = row(cases)
    assert (z.num_pairs, z.num_ordered) == (10, 10)
    agreeing = cases if cases < 20 else 19  # 95 % of 20 patients are 19
    assert z.chance == pytest.approx(
        sum(math.comb(cases, k) for k in range(agreeing, cases + 1)) * 2 / 2**cases
    )
    assert z.is_ordered == is_ordered
    assert not y.is_ordered
    assert not x.is_ordered


def test_an_order_with_rare_exceptions_is_one_and_a_frequent_one_is_none():
    """Of 200 patients 192 are 96 %, 184 are 92 %."""
    for exceptions, is_ordered in ((8, True), (16, False)):
        z, _, _ = layouts(
            200,
            lambda index, few=exceptions: {
                "1": (0.3 if index >= few else 0.7, 0.5, 0.5),
                "2": (0.5, 0.5, 0.5),
            },
        )
        assert z.is_ordered == is_ordered
        assert z.best.agreeing == 200 - exceptions


def test_many_labels_of_which_few_are_in_order_need_more_patients():
    rng = np.random.default_rng(0)

    def centres(_):
        labels = {str(value): (rng.random(), 0.5, 0.5) for value in range(30)}
        return {**labels, "left": (0.1, 0.5, 0.5), "right": (0.9, 0.5, 0.5)}

    assert not layouts(14, centres)[0].is_ordered
    assert layouts(40, centres)[0].is_ordered


def test_frames_of_a_patient_count_as_one():
    """Five patients with twelve frames each, which all look alike."""
    rng = np.random.default_rng(0)
    place = [{str(value): tuple(rng.random(3)) for value in range(6)} for _ in range(5)]
    _, fingerprint = made_up(
        cases=60, centres=lambda index: place[index % 5], names="patient{0:03d}_frame01"
    )
    groups = {f"patient{index:03d}_frame01": str(index % 5) for index in range(60)}
    alone = axis_layouts(fingerprint, {}, orientation=None)
    together = axis_layouts(fingerprint, groups, orientation=None)
    assert any(item.is_ordered for item in alone)
    assert not any(item.is_ordered for item in together)
    assert {item.best.patients for item in together} == {5}


def test_labels_that_lie_at_the_same_place_say_nothing():
    z, y, _ = layouts(
        30, lambda index: {"1": (0.5, 0.2, 0.1), "2": (0.5 + 0.001, 0.9, 0.1), "3": (0.5, 0.5, 0.1)}
    )
    assert (z.num_pairs, z.best, z.chance, z.is_ordered) == (0, None, 1.0, False)
    assert y.is_ordered
    assert layouts(30, lambda index: {})[0].best is None


@pytest.mark.parametrize(
    ("orientation", "ordered"),
    [
        ("LPS", [True, False, False]),
        ("RAI", [True, False, False]),
        ("PIR", [False, True, False]),  # x grows to the back, y down, z to the right
        ("SAR", [False, False, True]),
    ],
)
def test_axes_are_those_of_turned_cases(orientation, ordered):
    """One label lies above the other in every case."""
    rng = np.random.default_rng(0)
    _, fingerprint = made_up(
        cases=40,
        centres=lambda _: {
            "1": (0.1, rng.random(), rng.random()),
            "2": (0.9, rng.random(), rng.random()),
        },
    )
    found = axis_layouts(fingerprint, {}, orientation)
    assert [layout.is_ordered for layout in found] == ordered


def test_patients_without_a_label_do_not_count():
    z, _, _ = layouts(
        40, lambda index: {"1": (0.2, 0.5, 0.5), **({"2": (0.8, 0.5, 0.5)} if index < 9 else {})}
    )
    assert (z.best.patients, z.is_ordered) == (9, False)


@pytest.mark.parametrize(
    ("name", "mirrored"),
    [("Hippocampus", [False, False, True]), ("ACDC", [False, True, False])],
)
def test_real_organs_have_an_order(name, mirrored):
    """Front and back of the hippocampus; base and apex, left and right ventricle of the heart."""
    fingerprint = serialise.load(Fingerprint, ROOT / f"plans/golden/{name}/fingerprint.json")
    groups = find_groups(list(fingerprint.cases)).groups
    found = axis_layouts(fingerprint, groups, orientation=None)
    assert [not layout.is_ordered for layout in found] == mirrored
