"""The memory is kept by every configuration, with every time budget, or the plan says why not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoseg.costs.machine import PROCESS_BYTES
from autoseg.planning import measured_costs
from autoseg.planning.measured_costs import MeasuredCosts
from autoseg.planning.network_size import work_of
from autoseg.planning.planners.auto import EVERYTHING, plan_auto
from autoseg.planning.planners.drafts import Drafter, make_grid
from autoseg.planning.planners.memory_budget import MemoryBudget
from autoseg.planning.planners.nnunet import plan_nnunet
from autoseg.planning.planners.presets import PRESETS
from autoseg.planning.planners.request import Request
from tests.conftest import make_configuration
from tests.planning.made_up import BUDGET, GIGABYTE, MadeUpCosts, made_up

SHAPES = {
    "large": {"shape": (300, 300, 300)},
    "small": {"shape": (40, 56, 40)},
    "flat": {"shape": (10, 256, 216), "spacing": (10.0, 1.5, 1.5)},
}


def explained(plan):
    """Configurations of which the plan says that they exceed the memory."""
    return {item.configuration for item in plan.decisions if item.topic == "memory"}


@settings(max_examples=30)
@given(
    name=st.sampled_from([*EVERYTHING, "2d_sagittal", "2.5d_coronal", "2d_primus"]),
    case=st.sampled_from(sorted(SHAPES)),
    gigabytes=st.floats(0.45, 30),
    time_s=st.sampled_from([None, 60.0, 600.0, 86400.0, 3e6]),
    network=st.sampled_from([None, "M", "L"]),
)
def test_every_configuration_keeps_the_memory_or_says_why_not(
    name, case, gigabytes, time_s, network
):
    budget = replace(
        BUDGET,
        memory_bytes=int(gigabytes * GIGABYTE),
        time_s=time_s,
        costs=MadeUpCosts(seconds=3e-9),
    )
    # Cascades are only planned where they are needed, so they come with the usual ones.
    names = () if name in ("3d_lowres", "3d_cascade_fullres") else (name,)
    request = Request(configurations=names, memory=True, network=network)
    plan = plan_auto(*made_up(**SHAPES[case]), budget, request)
    over = {
        key for key, item in plan.configurations.items() if item.memory_bytes > budget.memory_bytes
    }
    assert over == explained(plan)
    if gigabytes > 0.6:
        assert not over


def test_the_time_budget_of_an_issue_keeps_its_memory(monkeypatch):
    """By traced steps: 0.8 GB were planned as 10.4 GB (Primus) and 4.4 GB (Swin UNETR)."""
    monkeypatch.setattr(measured_costs, "measure_step_s", lambda item, device: 2e-9 * work_of(item))
    case = made_up(**SHAPES["small"])
    names = ("3d_fullres_swin_unetr", "3d_fullres_primus")
    budget = replace(
        BUDGET,
        memory_bytes=int(0.8 * GIGABYTE),
        time_s=600.0,
        costs=MeasuredCosts("cpu", *case),
    )
    plan = plan_auto(*case, budget, Request(configurations=names, memory=True))
    for name in names:
        item = plan.configurations[name]
        assert PROCESS_BYTES["cpu"] < item.memory_bytes <= budget.memory_bytes, name
        assert item.memory_bytes == budget.costs.memory_bytes(item)


def test_memory_that_cannot_be_kept_is_said_once(caplog):
    budget = replace(BUDGET, memory_bytes=GIGABYTE // 4, costs=MadeUpCosts())
    request = Request(configurations=("3d_fullres",), memory=True)
    plan = plan_auto(*made_up(), budget, request)
    (reason,) = [item for item in plan.decisions if item.topic == "memory"]
    assert reason.configuration == "3d_fullres"
    assert "more than the 0.25 GB that are there" in reason.reason
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "--memory 0.25 GB cannot be kept: the smallest sensible networks take" in caplog.text
    # Nobody named it here: the plan says so, and that is all.
    caplog.clear()
    plan = plan_auto(*made_up(), budget, replace(request, memory=False))
    assert explained(plan) == {"3d_fullres"}
    assert not caplog.records


def test_nnunets_planner_says_where_the_memory_is_not_kept(caplog):
    budget = replace(BUDGET, memory_bytes=GIGABYTE, costs=MadeUpCosts(), time_s=60.0)
    case = made_up(**SHAPES["large"])
    plan = plan_nnunet(*case, budget, Request(memory=True))
    assert explained(plan) == set(plan.configurations)
    assert "--planner auto keeps it" in caplog.text
    for item in plan.configurations.values():
        assert item.memory_bytes == budget.costs.memory_bytes(item)
        assert item.training.time_budget_s == 60
    unnamed = plan_nnunet(*case, replace(budget, time_s=None), Request())
    assert not explained(unnamed)
    for name, item in unnamed.configurations.items():
        assert item.patch_size == plan.configurations[name].patch_size
        assert item.training.time_budget_s is None


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_base_is_the_devices(device):
    """What a process takes by itself differs, so that the same memory leaves other patches."""
    dataset, fingerprint = made_up(**SHAPES["large"])
    costs = MadeUpCosts(memory=lambda item: PROCESS_BYTES[device] + 10 * int(work_of(item)))
    budget = replace(BUDGET, device=device, memory_bytes=2 * GIGABYTE, costs=costs)
    request = Request(configurations=("3d_fullres",), network="plain", memory=True)
    plan = plan_auto(dataset, fingerprint, budget, request)
    found = plan.configurations["3d_fullres"]
    assert found.memory_bytes <= budget.memory_bytes
    without = plan_auto(dataset, fingerprint, replace(budget, costs=None), request)
    smallest = without.configurations["3d_fullres"].memory_bytes
    assert smallest > PROCESS_BYTES[device]


def memory_budget(memory_bytes, costs):
    dataset, fingerprint = made_up()
    from autoseg.planning.measures import measures_of

    measures = measures_of(dataset, fingerprint, None)
    drafter = Drafter(
        dataset=dataset,
        measures=measures,
        request=Request(memory=True),
        preset=PRESETS["plain"],
        transpose=(0, 1, 2),
    )
    return MemoryBudget(
        drafter=drafter,
        budget=replace(BUDGET, memory_bytes=memory_bytes, costs=costs),
        grid=make_grid(measures, (1.0, 1.0, 1.0), (0, 1, 2)),
    )


def test_cases_stay_in_memory_as_far_as_there_is_room():
    cases = 300 * 2**20
    costs = MadeUpCosts(memory=lambda item: 500 * 2**20 + min(cases, item.cache_bytes))
    for there, kept in ((2000, 1024), (700, 200), (400, 0)):
        found = memory_budget(there * 2**20, costs).weigh(make_configuration())
        assert found.cache_bytes == kept * 2**20
        assert found.memory_bytes == 500 * 2**20 + min(cases, found.cache_bytes)


def test_costs_are_found_once_for_equal_steps_and_measuring_ends(monkeypatch):
    calls = []

    def measure(configuration, device):
        calls.append(configuration.batch_size)
        return 0.5

    clock = iter(range(0, 10_000, 20))  # every measurement takes 20 s
    monkeypatch.setattr(measured_costs, "measure_step_s", measure)
    monkeypatch.setattr(measured_costs.time, "perf_counter", lambda: float(next(clock)))
    costs = MeasuredCosts("cpu", *made_up())
    one = make_configuration()
    assert costs.step_s(one) == 0.5
    longer = replace(one.training, epochs=9, steps_per_epoch=9, time_budget_s=5.0)
    same = replace(one, name="another", spacing_mm=(2.0, 2.0, 2.0), training=longer)
    assert costs.step_s(same) == 0.5
    assert costs.step_s(replace(one, batch_size=4)) == 0.5
    assert calls == [2, 4]
    # 40 s were spent: a third one is judged by its work, one of another kind is measured.
    assert costs.step_s(replace(one, batch_size=8)) == pytest.approx(1.0)
    assert calls == [2, 4]
    other = replace(one.network, architecture="residual_unet")
    costs.step_s(replace(one, network=other, batch_size=8))
    assert calls == [2, 4, 8]
