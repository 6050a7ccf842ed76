"""What configurations cost on this machine, and plans for what is there."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache

from autoseg import planned
from autoseg.costs.step_time import measure_step_s
from autoseg.costs.training_memory import count_parameters, training_footprint
from autoseg.datasets.recipes import load_recipe
from autoseg.planning.budget import Budget, make_budget, parse_duration
from autoseg.planning.explain import Cost
from autoseg.planning.measures import measures_of, stored_bytes
from autoseg.planning.planners import PLANNERS
from autoseg.planning.planners.clock import estimate_step_s
from autoseg.planning.planners.request import Request
from autoseg.schema import serialise
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration, Plan
from autoseg.training.setup import with_epochs
from autoseg.workspace import Workspace

logger = logging.getLogger(__name__)


def measuring_budget(
    device: str,
    memory: str | None,
    time_budget: str | None,
    dataset: Dataset,
    fingerprint: Fingerprint,
) -> Budget:
    """The budget, with the means to find out what a configuration costs."""
    budget = make_budget(device, memory, time_budget)
    measures = {
        canonical: measures_of(dataset, fingerprint, canonical=canonical)
        for canonical in (False, True)
    }

    @cache  # planners ask again for what they have not changed, and a trace takes a while
    def trace(item: Configuration) -> int:
        cases = stored_bytes(measures[item.orientation is not None], item)
        return training_footprint(item, budget.device, cases)

    def footprint(item: Configuration) -> int:
        return trace(replace(item, memory_bytes=0))

    return replace(
        budget,
        step_s=lambda item: measure_step_s(item, device=budget.device),
        footprint=footprint,
    )


def costs(made: Plan, budget: Budget) -> dict[str, Cost]:
    """What each configuration costs here; equal networks are measured once."""
    assert budget.step_s is not None
    found: dict[str, Cost] = {}
    known: dict[object, float] = {}
    for name, item in made.configurations.items():
        key = (item.network, item.patch_size, item.batch_size, item.num_slices)
        if key not in known:
            known[key] = (
                0.0
                if item.training.time_budget_s is not None
                else estimate_step_s(item, budget.step_s)
            )
        found[name] = Cost(parameters=count_parameters(item), step_s=known[key])
    return found


def override(
    place: Workspace,
    made: Plan,
    name: str,
    *,
    epochs: int | None,
    device: str,
    time_budget: str | None,
) -> dict[str, Configuration]:
    """The plan's configurations with what the user wants otherwise for one, as new ones."""
    items = dict(made.configurations)
    stage = items[name].previous
    time_s = parse_duration(time_budget) if time_budget else None
    if time_s is not None and time_s != items[name].training.time_budget_s:
        # The second stage of a cascade is what the first made it; only its time can change.
        if made.planner == "auto" and (stage is None or stage.kind == "probabilities"):
            items.update(_plan_again(place, made, name, device, time_budget))
        else:
            training = replace(items[name].training, time_budget_s=time_s)
            items[name] = replace(items[name], training=training)
    if epochs is not None:
        paths = stage.names if stage is not None and stage.kind == "probabilities" else ()
        for part in (name, *paths):
            items[part] = with_epochs(items[part], epochs)
    return items


def _plan_again(
    place: Workspace, made: Plan, name: str, device: str, time_budget: str | None
) -> dict[str, Configuration]:
    """Plans one configuration for another time; the workspace's plan stays as it is."""
    memory = made.request.get("memory") or None
    request = Request(
        configurations=(name,),
        network=made.request.get("network") or None,
        memory=memory is not None,
        seed=made.configurations[name].seed,
        recipe=load_recipe(made.request["recipe"]) if made.request.get("recipe") else None,
    )
    dataset = planned.load_dataset(place)
    measured = serialise.load(Fingerprint, place.fingerprint)
    budget = measuring_budget(device, memory, time_budget, dataset, measured)
    again = PLANNERS[made.planner](dataset, measured, budget, request)
    for reason in again.decisions:
        if reason.topic.startswith(name):
            logger.info("%s: %s – %s.", reason.topic, reason.value, reason.reason)
    return again.configurations
