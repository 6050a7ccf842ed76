"""What a user asks of the planner, in the words of the command line."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypedDict


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """Options of planning; a plan keeps those that it was made for.

    Attributes:
        planner: auto or nnunet.
        configurations: Names, "all", or empty for the usual ones.
        network: plain, M, L or XL; None leaves the choice to the planner.
        device: auto, cpu, cuda or mps.
        memory: Such as "8GB"; None takes what is free.
        time_budget: Such as "10m", for one training; None is nnU-Net's schedule.
        num_folds: Number of folds; None for 5, or one per patient where there are fewer.
        group_pattern: Regular expression that finds the patient in a case name.
        groups: Path of a CSV with the columns case and group.
        seed: Seed of everything random.
        recipe: Name of a recipe for a known data set.
        loss: Name in the table of losses; None leaves the choice to the planner.
        augmentation: Name in the table of augmentations; None likewise.
        schedule: Name in the table of learning rate schedules; None likewise.
    """

    planner: str = "auto"
    configurations: tuple[str, ...] = ()
    network: str | None = None
    device: str = "auto"
    memory: str | None = None
    time_budget: str | None = None
    num_folds: int | None = None
    group_pattern: str | None = None
    groups: str | None = None
    seed: int = 0
    recipe: str | None = None
    loss: str | None = None
    augmentation: str | None = None
    schedule: str | None = None


class PlanOptions(TypedDict, total=False):
    """The fields of a `PlanRequest` as keyword arguments of a function."""

    planner: str
    configurations: tuple[str, ...] | list[str]
    network: str | None
    device: str
    memory: str | None
    time_budget: str | None
    num_folds: int | None
    group_pattern: str | None
    groups: str | None
    seed: int
    recipe: str | None
    loss: str | None
    augmentation: str | None
    schedule: str | None


OPTION_NAMES = tuple(field.name for field in fields(PlanRequest))


def plan_request(options: PlanOptions) -> PlanRequest:
    """The request of keyword arguments.

    Raises:
        TypeError: There is no such option.
    """
    chosen = dict(options)
    chosen["configurations"] = tuple(options.get("configurations", ()))
    groups = options.get("groups")
    chosen["groups"] = None if groups is None else str(groups)
    return PlanRequest(**chosen)  # type: ignore[arg-type]
