"""A configuration for another time, memory or number of epochs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace

from autoseg import planned
from autoseg.datasets.recipes import load_recipe
from autoseg.errors import UsageError
from autoseg.planning.budget import measuring_budget, parse_duration
from autoseg.planning.choices import planner_request, with_choices, with_recipe
from autoseg.planning.explain import title
from autoseg.planning.planners import PLANNERS
from autoseg.planning.planners.time_budget import USABLE
from autoseg.schema import serialise
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration, Plan
from autoseg.workspace import Run, Workspace

logger = logging.getLogger(__name__)

FACTOR = 2.0
"""Steps that are so many times slower or faster than planned are planned for again."""
_REMEDY = "Leave the option out to go on, or start anew with --overwrite."
MIN_STEPS = 100
"""Shorter schedules are not worth measuring again."""


def override(
    workspace: Workspace,
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
    if time_s is not None and not _same_time(time_s, time_budget_s(items, name)):
        # The second stage of a cascade is what the first made it; only its time can change.
        if made.planner == "auto" and (stage is None or stage.kind == "probabilities"):
            items.update(plan_again(workspace, made, name, device, time_budget))
        else:
            training = replace(items[name].training, time_budget_s=time_s)
            items[name] = replace(items[name], training=training)
    if epochs is not None:
        return with_all_epochs(items, name, epochs)
    return items


def plan_again(
    workspace: Workspace, made: Plan, name: str, device: str, time_budget: str | None
) -> dict[str, Configuration]:
    """Plans one configuration for another time; the workspace's plan stays as it is."""
    recipe = load_recipe(made.request.recipe) if made.request.recipe else None
    request = replace(with_recipe(made.request, recipe), configurations=(name,))
    dataset = planned.load_dataset(workspace)
    measured = serialise.load(Fingerprint, workspace.fingerprint)
    budget = measuring_budget(device, request.memory, time_budget, dataset, measured)
    wanted = planner_request(request, recipe, planned.load_groups(workspace))
    again = PLANNERS[made.planner](dataset, measured, budget, wanted)
    again = with_choices(again, request)
    for decision in again.decisions:
        if decision.configuration == name:
            logger.info("%s: %s – %s.", title(decision), decision.value, decision.reason)
    return again.configurations


def fits_speed(configuration: Configuration, device: str) -> bool:
    """Whether the steps that a time budget was planned for take as long here as planned.

    The plan may have been made on a busy machine, or on another one.

    Args:
        configuration: Planned for a time budget.
        device: Where it will be trained.
    """
    from autoseg.costs.step_time import measure_step_s

    plan = configuration.training
    steps = plan.epochs * plan.steps_per_epoch
    if plan.time_budget_s is None or steps < MIN_STEPS:
        return True
    planned_s = USABLE * plan.time_budget_s / steps
    measured_s = measure_step_s(configuration, device=device)
    if planned_s / FACTOR <= measured_s <= planned_s * FACTOR:
        return True
    logger.warning(
        "%s: the plan expects %.3g s per step and %.3g s were measured now, when the machine does "
        "other work or more or less than before. It is planned again for the same time.",
        configuration.name,
        planned_s,
        measured_s,
    )
    return False


def with_epochs(configuration: Configuration, epochs: int) -> Configuration:
    """The configuration with a fixed number of epochs instead of a time budget.

    Raises:
        UsageError: The number is not positive.
    """
    if epochs < 1:
        raise UsageError(f"--epochs {epochs}: at least 1 is needed.")
    training = replace(configuration.training, epochs=epochs, time_budget_s=None)
    return replace(configuration, training=training)


def with_all_epochs(
    configurations: Mapping[str, Configuration], name: str, epochs: int
) -> dict[str, Configuration]:
    """The configurations, one of which and all its paths have a fixed number of epochs.

    Raises:
        UsageError: The number is not positive.
    """
    parts = (name, *_paths(configurations[name]))
    changed = {part: with_epochs(configurations[part], epochs) for part in parts}
    return {**configurations, **changed}


def begun_configurations(run: Run) -> dict[str, Configuration]:
    """The configurations that a run began with: its own and those of its paths, by their names."""
    files = (run.configuration, *sorted(run.paths.glob("*/configuration.yaml")))
    begun = [serialise.load(Configuration, path) for path in files]
    return {configuration.name: configuration for configuration in begun}


def time_budget_s(configurations: Mapping[str, Configuration], name: str) -> float | None:
    """Time budget of a training; of a multi-path network all its paths and their fusion's."""
    parts = [
        configurations[part].training.time_budget_s
        for part in (name, *_paths(configurations[name]))
    ]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def schedule_text(configurations: Mapping[str, Configuration], name: str) -> str:
    """How long a network is trained, for people."""
    time_s = time_budget_s(configurations, name)
    if time_s is None:
        epochs = configurations[name].training.epochs
        return f"{epochs} epoch{'s' * (epochs != 1)}"
    return f"a time budget of {time_s:g} s"


def check_unchanged(
    configurations: Mapping[str, Configuration],
    name: str,
    epochs: int | None,
    time_s: float | None,
) -> None:
    """Refuses to go on with another schedule than the run began with.

    Args:
        configurations: The run's own, and those of its paths.
        name: The one that is trained.
        epochs: Wanted number of epochs, or None for the run's.
        time_s: Wanted time budget, or None for the run's.

    Raises:
        UsageError: The epochs or the time budget differ from the run's.
    """
    plan = configurations[name].training
    begun_s = time_budget_s(configurations, name)
    began = schedule_text(configurations, name)
    if epochs is not None and (epochs != plan.epochs or begun_s is not None):
        raise UsageError(f"--epochs {epochs}: the training began with {began}. {_REMEDY}")
    if time_s is not None and not _same_time(time_s, begun_s):
        raise UsageError(f"--time-budget {time_s:g}s: the training began with {began}. {_REMEDY}")


def _same_time(first_s: float, second_s: float | None) -> bool:
    """Whether two budgets are the same; shares of one add up to it only nearly."""
    return second_s is not None and math.isclose(first_s, second_s, rel_tol=1e-6)


def _paths(configuration: Configuration) -> tuple[str, ...]:
    stage = configuration.previous
    return stage.names if stage is not None and stage.kind == "probabilities" else ()
