"""The plan's decisions as text for people."""

from __future__ import annotations

from autoseg.planning.memory import num_parameters
from autoseg.schema.plan import Plan


def explain(plan: Plan) -> str:
    """Markdown: a table of the configurations, then every decision with its reason."""
    lines = [f"# Plan for {plan.dataset} (planner {plan.planner})", ""]
    lines += [
        "| configuration | spacing mm | patch | batch | network | parameters | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, item in plan.configurations.items():
        spacing = " × ".join("case" if step is None else f"{step:.3g}" for step in item.spacing_mm)
        patch = " × ".join(map(str, item.patch_size))
        parameters = num_parameters(item.network, len(item.channels), item.labels.num_outputs)
        lines.append(
            f"| {name} | {spacing} | {patch} | {item.batch_size} | {item.network.architecture}, "
            f"{item.network.features[0]}–{item.network.features[-1]} features | "
            f"{parameters / 1e6:.2f} M | {item.memory_bytes / 2**30:.1f} GB |"
        )
    lines += ["", "## Decisions", ""]
    lines += [f"- **{item.topic}**: {item.value} – {item.reason}." for item in plan.decisions]
    return "\n".join(lines) + "\n"
