from __future__ import annotations

from dataclasses import replace

import pytest

from autoseg.costs import step_time
from autoseg.costs.step_time import measure_step_s
from tests.conftest import REGIONS, make_configuration


def clock(durations):
    """A clock that stands still but for the steps, which last so long one after the other."""
    state = {"now": 0.0, "in_step": False, "left": list(durations)}

    def tick():
        # Steps read the clock before and after; between two steps it is read once.
        if state["in_step"] is None:
            state["now"] += state["left"].pop(0)
        state["in_step"] = {False: True, True: None, None: False}[state["in_step"]]
        return state["now"]

    return tick, state


@pytest.mark.parametrize("labels", [make_configuration().labels, REGIONS])
@pytest.mark.parametrize(
    ("durations", "fastest", "timed"),
    [
        ([5, 2, 0.7, 0.4, 0.1], 0.4, 4),  # three are timed though the warm-up took long
        ([0.1, 0.2] + [0.02] * 20, 0.02, 11),  # quick ones ten times
        ([0.1, 0.5, 0.3, 0.25, 0.01], 0.25, 4),  # not longer than half a second
        ([11, 1, 1], 11, 1),  # nothing is begun after the limit
    ],
)
def test_the_fastest_of_several_steps_counts(labels, durations, fastest, timed, monkeypatch):
    loss = "dice_binary_cross_entropy" if labels.has_regions else "dice_cross_entropy"
    configuration = make_configuration(labels=labels)
    configuration = replace(configuration, training=replace(configuration.training, loss=loss))
    tick, state = clock(durations)
    monkeypatch.setattr(step_time.time, "perf_counter", tick)
    assert measure_step_s(configuration, device="cpu") == pytest.approx(fastest)
    assert len(durations) - len(state["left"]) == timed


def test_more_work_takes_longer():
    small = make_configuration()
    large = replace(small, batch_size=16 * small.batch_size)
    assert measure_step_s(large, device="cpu") > 2 * measure_step_s(small, device="cpu")
