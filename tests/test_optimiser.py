from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoseg.optimiser import SCHEDULES


@given(st.sampled_from(["poly", "cosine", "one_cycle"]), st.floats(0, 1))
def test_factors_lie_between_0_and_1(name, progress):
    assert -1e-9 <= SCHEDULES[name](progress) <= 1


def test_poly_is_nnunets():
    assert SCHEDULES["poly"](0.5) == pytest.approx(0.5**0.9)


@pytest.mark.parametrize("name", ["poly", "cosine", "one_cycle"])
def test_schedules_end_at_zero(name):
    assert SCHEDULES[name](1.0) == pytest.approx(0)


def test_one_cycle_rises_then_falls():
    values = [SCHEDULES["one_cycle"](step / 100) for step in range(101)]
    top = values.index(max(values))
    assert values[:top] == sorted(values[:top])
    assert values[top:] == sorted(values[top:], reverse=True)
    assert 0 < top < 30
