from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from autoseg.optimiser import SCHEDULES, build_optimiser, set_learning_rate


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 1))
def test_factors_lie_between_0_and_1(name, progress):
    assert -1e-9 <= SCHEDULES[name](progress) <= 1


def test_poly_is_nnunets():
    assert SCHEDULES["poly"](0.5) == pytest.approx(0.5**0.9)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_schedules_end_at_zero(name):
    assert SCHEDULES[name](1.0) == pytest.approx(0)


@pytest.mark.parametrize("name", ["one_cycle", "warm_up_cosine"])
def test_schedules_with_a_warm_up_rise_then_fall(name):
    values = [SCHEDULES[name](step / 100) for step in range(101)]
    top = values.index(max(values))
    assert values[:top] == sorted(values[:top])
    assert values[top:] == sorted(values[top:], reverse=True)
    assert 0 < top < 30


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_groups_have_names_and_factors_of_the_learning_rate(configuration, optimiser):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    plan = replace(configuration.training, optimiser=optimiser)
    built = build_optimiser(network, plan)
    names = {group["name"] for group in built.param_groups}
    assert names == ({"all"} if optimiser == "sgd" else {"weights", "norms and biases"})
    built.param_groups[0]["learning_rate_factor"] = 0.1
    set_learning_rate(built, 0.5)
    assert built.param_groups[0]["lr"] == pytest.approx(0.05)
    assert sum(len(group["params"]) for group in built.param_groups) == 4
