"""The plan's decisions as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoseg.planning.budget import Budget
from autoseg.planning.planners.request import DROPPED
from autoseg.planning.planners.time_budget import estimate_step_s
from autoseg.schema.plan import Configuration, Plan

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a configuration costs on this machine.

    Attributes:
        parameters: Parameters of the network.
        step_s: Seconds of a training step, scaled from a measured one of a small network.
    """

    parameters: int
    step_s: float


def explain(plan: Plan, costs: Mapping[str, Cost]) -> str:
    """Markdown: a table of the configurations, those dropped, then every decision.

    Args:
        plan: The plan.
        costs: Configuration → its cost.
    """
    lines = [f"# Plan for {plan.dataset} (planner {plan.planner})", ""]
    lines += [
        "| configuration | spacing mm | patch | batch | network | parameters | memory | training |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, item in plan.configurations.items():
        cost = costs.get(name)
        spacing = " × ".join("case" if step is None else f"{step:.3g}" for step in item.spacing_mm)
        patch = " × ".join(map(str, item.patch_size))
        if item.num_slices > 1:
            patch += f", {item.num_slices} slices"
        parameters = f"{cost.parameters / 1e6:.2f} M" if cost else ""
        lines.append(
            f"| {name} | {spacing} | {patch} | {item.batch_size} | {item.network.architecture}, "
            f"{item.network.features[0]}–{item.network.features[-1]} features | "
            f"{parameters} | {item.memory_bytes / 2**30:.1f} GB | {_time(item, cost)} |"
        )
    dropped = [item for item in plan.decisions if item.value == DROPPED]
    if dropped:
        lines += ["", "Not planned:", ""]
        lines += [f"- {item.topic}: {item.reason}." for item in dropped]
    lines += ["", "## Decisions", ""]
    lines += [
        f"- **{item.topic}**: {item.value} – {item.reason}."
        for item in plan.decisions
        if item.value != DROPPED
    ]
    return "\n".join(lines) + "\n"


def _time(item: Configuration, cost: Cost | None) -> str:
    plan = item.training
    if plan.time_budget_s is not None:
        return f"{duration(plan.time_budget_s)}, about {plan.epochs * plan.steps_per_epoch} steps"
    if cost is None:
        return ""
    steps = plan.epochs * plan.steps_per_epoch
    return f"about {duration(steps * cost.step_s)}, {steps} steps of {cost.step_s:.2g} s"


def duration(seconds: float) -> str:
    """A duration for people, such as 10 min or 3.2 days."""
    for limit, unit, name in ((2 * DAY, DAY, "days"), (2 * HOUR, HOUR, "h"), (90, MINUTE, "min")):
        if seconds >= limit:
            return (
                f"{seconds / unit:.2g} {name}"
                if seconds / unit < 100
                else (f"{seconds / unit:.0f} {name}")
            )
    return f"{seconds:.0f} s"


def costs(made: Plan, budget: Budget) -> dict[str, Cost]:
    """What each configuration costs here; equal networks are measured once."""
    from autoseg.costs.training_memory import count_parameters

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
