from __future__ import annotations

from dataclasses import replace

import pytest

from autoseg.costs import step_time
from autoseg.costs.step_time import measure_step_s
from tests.conftest import REGIONS, make_configuration


@pytest.mark.parametrize("labels", [make_configuration().labels, REGIONS])
def test_the_fastest_of_several_steps_counts(labels, monkeypatch):
    loss = "dice_binary_cross_entropy" if labels.has_regions else "dice_cross_entropy"
    configuration = make_configuration(labels=labels)
    configuration = replace(configuration, training=replace(configuration.training, loss=loss))
    # Ticks of the clock: its start, then before and after each step, and a look at the limit.
    ticks = iter([0, 0, 9, 10, 10, 17, 20, 20, 23, 25, 25, 30, 31])
    monkeypatch.setattr(step_time.time, "perf_counter", lambda: next(ticks))
    assert measure_step_s(configuration, device="cpu", limit_s=1000) == 3


def test_more_work_takes_longer():
    small = make_configuration()
    large = replace(small, batch_size=16 * small.batch_size)
    assert measure_step_s(large, device="cpu") > 2 * measure_step_s(small, device="cpu")
