"""The files of an evaluation: summary.json, cases.csv, summary.md, and a reliability diagram."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

from evaluation.errors import printable
from evaluation.labels import ALL_CLASSES
from evaluation.measures.reliability import Reliability
from evaluation.output import check_output, replaced_files
from evaluation.summary import Summary

MAX_CURVES = 8


def write_summary(summary: Summary, folder: Path, *, overwrite: bool = True) -> Path:
    """Writes an evaluation's files into a folder: all of them, or none.

    summary.json has everything; cases.csv is tidy (case, class, metric, value, unit; with several
    methods also method); summary.md is for people; reliability.csv and .png are there where
    probabilities were scored.

    Returns:
        The folder.

    Raises:
        EvaluationError: A file is there already and may not be replaced, or cannot be written.
    """
    check_output(folder, overwrite=overwrite)
    with replaced_files(folder) as made:
        _write_cases(summary, made / "cases.csv")
        (made / "summary.md").write_text(markdown(summary), encoding="utf-8")
        if summary.reliability:
            _write_reliability(summary, made / "reliability.csv")
            draw_reliability(summary, made / "reliability.png")
        text = json.dumps(summary.to_plain(), indent=1, allow_nan=False)
        (made / "summary.json").write_text(text, encoding="utf-8")
    return folder


def _write_cases(summary: Summary, path: Path) -> None:
    several = len(summary.methods) > 1
    head = ["case", "class", "metric", "value", "unit", *(["method"] if several else [])]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        for score in summary.scores:
            value = "" if math.isnan(score.value) else repr(float(score.value))
            unit = summary.record(score.metric).unit
            row = [score.case, score.label, score.metric, value, unit, score.method]
            writer.writerow([printable(cell) for cell in (row if several else row[:-1])])


def _write_reliability(summary: Summary, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            ["method", "class", "low", "high", "voxels", "mean_confidence", "share_right"]
        )
        for (method, label), bins in summary.reliability.items():
            for row in zip(
                bins.low, bins.high, bins.counts, bins.confidence, bins.accuracy, strict=True
            ):
                cells = ["" if math.isnan(value) else repr(float(value)) for value in row]
                cells[2] = str(int(row[2]))
                writer.writerow([printable(method), printable(label), *cells])


def draw_reliability(summary: Summary, path: Path) -> None:
    """Draws accuracy over confidence, one panel per method."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    methods = tuple(dict.fromkeys(method for method, _ in summary.reliability))
    figure = Figure(figsize=(5 * len(methods), 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for index, method in enumerate(methods, 1):
        axes = figure.add_subplot(1, len(methods), index)
        axes.plot((0, 1), (0, 1), color="0.7", linewidth=1)
        curves = [
            (label, bins) for (name, label), bins in summary.reliability.items() if name == method
        ]
        for label, bins in curves[:MAX_CURVES]:
            _draw_curve(axes, label, bins)
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1),
            xlabel="confidence",
            ylabel="share that is right",
            title=_drawable(method),
        )
        axes.legend(fontsize="small", loc="upper left")
    figure.savefig(path, format="png")


def _draw_curve(axes: object, label: str, bins: Reliability) -> None:
    held = bins.counts > 0
    axes.plot(  # type: ignore[attr-defined]
        bins.confidence[held], bins.accuracy[held], marker="o", markersize=3, label=_drawable(label)
    )


def _drawable(name: str) -> str:
    """A name in which nothing is a formula, and which a legend does not hide."""
    return f" {printable(name)}".replace("$", r"\$") if name else ""


def _text(name: str) -> str:
    """A name in Markdown that is nothing but text."""
    shown = printable(name).replace("\\", "\\\\")
    for letter, other in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.replace(letter, other)
    for letter in "|`*[]":
        shown = shown.replace(letter, f"\\{letter}")
    return shown


def markdown(summary: Summary) -> str:
    """The summary for people: means with intervals per class, then what compares the methods."""
    lines = ["# Evaluation", ""]
    lines.append(f"{len(summary.cases)} cases, {len(summary.labels)} classes.")
    for title, names in (
        ("No prediction, scored as worst", summary.missing),
        ("Predictions without reference, not scored", summary.surplus),
    ):
        if names:
            lines.append(f"{title}: {', '.join(map(_text, names))}.")
    lines += [f"Note: {_text(note)}" for note in summary.notes]
    for method in summary.methods:
        lines += ["", f"## {_text(method)}" if method else "## Scores", ""]
        lines += _method_table(summary, method)
    lines += _comparisons(summary) + _rankings(summary)
    lines += ["", "## Metrics", "", "| metric | what | better | unit | empty masks |"]
    lines.append("|---|---|---|---|---|")
    for name in summary.metrics:
        record = summary.record(name)
        better = record.direction or "–"
        lines.append(
            f"| {_text(name)} | {record.title} | {better} | {record.unit or '–'} | {record.empty} |"
        )
    lines += [
        "",
        "Mean over cases [95 % bootstrap interval]; n.c.: values that do not count.",
        "",
    ]
    return "\n".join(lines)


def _method_table(summary: Summary, method: str) -> list[str]:
    metrics = [name for name in summary.metrics if summary.labels_of(name, method)]
    lines = ["| class | " + " | ".join(_text(summary.heading(name)) for name in metrics) + " |"]
    lines.append("|---|" + "---|" * len(metrics))
    labels = [*summary.labels, ALL_CLASSES]
    for label in labels:
        cells = []
        for name in metrics:
            if label not in summary.labels_of(name, method):
                cells.append("")
                continue
            found = summary.description(name, label, method)
            text = _interval(found.mean, found.mean_low, found.mean_high)
            cells.append(text + (f" ({found.not_counted} n.c.)" if found.not_counted else ""))
        if any(cells):
            lines.append(f"| {_text(label)} | " + " | ".join(cells) + " |")
    means = [
        _interval(summary.mean(name, None, method), *summary.interval(name, method))
        for name in metrics
    ]
    return [*lines, "| **mean** | " + " | ".join(means) + " |"]


def _interval(mean: float, low: float, high: float) -> str:
    if math.isnan(mean):
        return "–"
    ends = "" if math.isnan(low) else f" [{low:.3f}, {high:.3f}]"
    return f"{mean:.4f}{ends}"


def _comparisons(summary: Summary) -> list[str]:
    if not summary.comparisons:
        return []
    lines = [
        "",
        "## Paired comparisons",
        "",
        "Mean over classes per case; p values are uncorrected.",
    ]
    lines += [
        "",
        "| metric | methods | difference | Wilcoxon p | permutation p |",
        "|---|---|---|---|---|",
    ]
    for item in summary.comparisons:
        if item.label == ALL_CLASSES:
            gap = _interval(item.difference, item.low, item.high)
            lines.append(
                f"| {_text(item.metric)} | {_text(item.first)} − {_text(item.second)} | {gap} "
                f"| {item.wilcoxon_p:.3g} "
                f"| {item.permutation_p:.3g} |"
            )
    return lines


def _rankings(summary: Summary) -> list[str]:
    lines: list[str] = []
    for ranking in summary.rankings:
        lines += ["", f"## Ranking: {ranking.scheme}", ""]
        lines += ["| rank | method | mean rank | share of bootstrap samples with that rank |"]
        lines.append("|---|---|---|---|")
        for name in ranking.methods:
            place = ranking.ranks[name]
            share = ranking.stability[name][place - 1]
            lines.append(f"| {place} | {_text(name)} | {ranking.scores[name]:.3f} | {share:.0%} |")
    return lines
