"""What a user or a recipe chose, checked and put into plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from autoseg.errors import UnknownNameError, UsageError
from autoseg.planning.planners.request import Request
from autoseg.registry import Registry
from autoseg.schema.plan import Configuration, Decision, Plan
from autoseg.schema.plan_request import PlanRequest
from autoseg.schema.recipe import Recipe

PARTS = ("loss", "augmentation", "schedule")
"""Parts of a training that can be chosen by name."""


def with_recipe(request: PlanRequest, recipe: Recipe | None) -> PlanRequest:
    """The request with the recipe's choices where the user made none."""
    if recipe is None:
        return request
    return replace(
        request,
        configurations=request.configurations or recipe.configurations,
        network=request.network or recipe.network,
        group_pattern=request.group_pattern or (None if request.groups else recipe.group_pattern),
        **{part: getattr(request, part) or getattr(recipe, part) for part in PARTS},
    )


def planner_request(
    request: PlanRequest, recipe: Recipe | None, groups: Mapping[str, str] | None
) -> Request:
    """What a planner needs to know of the request.

    Args:
        request: Options of planning.
        recipe: What is known about the data set, or None.
        groups: Case → patient, or None where the cases' names tell it.
    """
    return Request(
        configurations=request.configurations,
        network=request.network,
        memory=request.memory is not None,
        seed=request.seed,
        recipe=recipe,
        groups=groups,
    )


def check_names(request: PlanRequest) -> None:
    """Refuses names that no table has, before the data are read.

    Raises:
        UsageError: A loss, augmentation or schedule is unknown.
    """
    if not any(getattr(request, part) for part in PARTS):
        return
    from autoseg.augmentation import AUGMENTATIONS
    from autoseg.losses import LOSSES
    from autoseg.optimiser import SCHEDULES

    tables: dict[str, Registry[Any]] = {
        "loss": LOSSES,
        "augmentation": AUGMENTATIONS,
        "schedule": SCHEDULES,
    }
    for part, table in tables.items():
        if (name := getattr(request, part)) is not None and name not in table:
            raise UsageError(f"--{part}: {UnknownNameError(part, name, table)}")


def with_choices(plan: Plan, request: PlanRequest) -> Plan:
    """The plan with the loss, augmentation and schedule that were asked for, if any."""
    chosen = {part: name for part in PARTS if (name := getattr(request, part)) is not None}
    if not chosen:
        return plan

    def apply(configuration: Configuration) -> Configuration:
        return replace(configuration, training=replace(configuration.training, **chosen))

    return replace(
        plan,
        configurations={name: apply(item) for name, item in plan.configurations.items()},
        decisions=(
            *(item for item in plan.decisions if item.configuration or item.topic not in chosen),
            *(
                Decision(topic=part, value=name, reason="asked for")
                for part, name in chosen.items()
            ),
        ),
    )
