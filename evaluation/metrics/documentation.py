"""The table of metrics for people, made from the table of metrics."""

from __future__ import annotations

import math

from evaluation.metrics import METRICS


def metrics_table() -> str:
    """Markdown table of all metrics and what is known of them."""
    lines = ["| name | what | needs | range | better | empty masks | variants | source |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name, metric in METRICS.items():
        low, high = _number(metric.low), _number(metric.high)
        cells = (
            f"`{name}`",
            metric.title,
            metric.needs,
            f"{low} … {high}{f' {metric.unit}' if metric.unit else ''}",
            metric.direction or "–",
            metric.empty,
            ", ".join(metric.accepts) or "–",
            metric.source,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:g}"
