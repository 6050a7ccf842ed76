from __future__ import annotations

from dataclasses import replace

import pytest

from autoseg.optimiser import SCHEDULES
from autoseg.training import clock as module
from autoseg.training.clock import Clock


class Time:
    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    fake = Time()
    monkeypatch.setattr(module, "time", fake)
    return fake


@pytest.mark.parametrize("budget", [3.0, 20.0, 60.0, 600.0])
def test_a_timed_schedule_begins_at_its_beginning_and_ends_at_its_end(time, configuration, budget):
    plan = replace(configuration.training, time_budget_s=budget, schedule="one_cycle")
    clock = Clock(plan)
    time.now += 1000  # preprocessing before the training is no part of the budget
    clock.start()
    assert clock.progress(0, 0) == 0
    assert SCHEDULES["one_cycle"](clock.progress(0, 0)) == pytest.approx(0.04)
    time.now += clock.left_s() + 1e-9
    assert clock.progress(9, 0) == pytest.approx(1)
    assert clock.is_finished(1)
    assert clock.elapsed_s() == pytest.approx(budget - min(2, 0.05 * budget))


def test_a_resumed_clock_goes_on(time, configuration):
    plan = replace(configuration.training, time_budget_s=100.0)
    clock = Clock(plan, elapsed_s=49.0)
    clock.start()
    assert clock.progress(3, 0) == pytest.approx(0.5)
    assert clock.left_s() == pytest.approx(49)


def test_one_epoch_is_always_trained(time, configuration):
    clock = Clock(replace(configuration.training, time_budget_s=1.0), elapsed_s=5.0)
    assert not clock.is_finished(0)
    assert clock.is_finished(1)


def test_epochs_are_equal_slices_of_the_usable_time(time, configuration):
    plan = replace(configuration.training, time_budget_s=100.0, epochs=4)
    clock = Clock(plan)
    clock.start()
    time.now += 98 / 4 - 0.1
    assert not clock.epoch_is_over(0, 0.0)
    time.now += 0.2
    assert clock.epoch_is_over(0, 0.0)
    assert clock.epoch_is_over(3, 80.0)  # no further step fits


def test_without_a_budget_epochs_and_steps_count(configuration):
    plan = replace(
        configuration.training, time_budget_s=None, epochs=4, steps_per_epoch=5, schedule="cosine"
    )
    clock = Clock(plan)
    assert clock.progress(1, 0) == 0.25
    assert clock.progress(1, 4) == pytest.approx(9 / 20)
    assert not clock.is_finished(3)
    assert clock.is_finished(4)
    assert not clock.epoch_is_over(0, 1e9)
