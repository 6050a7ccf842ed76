"""The plan's decisions as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoseg.planning.budget import Budget
from autoseg.planning.planners.time_budget import estimate_step_s
from autoseg.schema.plan import Configuration, Decision, Plan

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
    lines += [_row(item, costs.get(name)) for name, item in plan.configurations.items()]
    dropped = [item for item in plan.decisions if item.dropped]
    if dropped:
        lines += ["", "Not planned:", ""]
        lines += [f"- {item.configuration}: {item.reason}." for item in dropped]
    lines += ["", "## Decisions", ""]
    lines += [
        f"- **{title(item)}**: {item.value} – {item.reason}."
        for item in plan.decisions
        if not item.dropped
    ]
    return "\n".join(lines) + "\n"


def title(decision: Decision) -> str:
    """What a decision is about."""
    if decision.configuration is None:
        return decision.topic
    return f"{decision.configuration}: {decision.topic}"


def _row(configuration: Configuration, cost: Cost | None) -> str:
    network = configuration.network
    patch = " × ".join(map(str, configuration.patch_size))
    if configuration.num_slices > 1:
        patch += f", {configuration.num_slices} slices"
    cells = (
        configuration.name,
        " × ".join("case" if step is None else f"{step:.3g}" for step in configuration.spacing_mm),
        patch,
        str(configuration.batch_size),
        f"{network.architecture}, {network.features[0]}–{network.features[-1]} features",
        f"{cost.parameters / 1e6:.2f} M" if cost else "",
        f"{configuration.memory_bytes / 2**30:.1f} GB",
        _time(configuration, cost),
    )
    return f"| {' | '.join(cells)} |"


def _time(configuration: Configuration, cost: Cost | None) -> str:
    plan = configuration.training
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


def costs(plan: Plan, budget: Budget) -> dict[str, Cost]:
    """What each configuration costs here; nothing is measured where the time is given."""
    from autoseg.costs.training_memory import count_parameters

    assert budget.costs is not None
    found: dict[str, Cost] = {}
    for name, configuration in plan.configurations.items():
        step_s = 0.0
        if configuration.training.time_budget_s is None:
            step_s = estimate_step_s(configuration, budget.costs.step_s)
        found[name] = Cost(parameters=count_parameters(configuration), step_s=step_s)
    return found
