"""The files of an evaluation: summary.json, cases.csv, summary.md, and a reliability diagram."""

from __future__ import annotations

import csv
import json
import math
import os
import tempfile
from pathlib import Path

from evaluation.errors import EvaluationError
from evaluation.labels import ALL_CLASSES
from evaluation.measures.reliability import Reliability
from evaluation.summary import Summary

FILES = ("summary.json", "cases.csv", "summary.md", "reliability.csv", "reliability.png")
MAX_CURVES = 8


def write_summary(summary: Summary, folder: Path, *, overwrite: bool = True) -> Path:
    """Writes an evaluation's files into a folder, each of them atomically.

    summary.json has everything; cases.csv is tidy (case, class, metric, value, unit; with several
    methods also method); summary.md is for people; reliability.csv and .png are there where
    probabilities were scored.

    Returns:
        The folder.

    Raises:
        EvaluationError: A file is there already and may not be replaced.
    """
    check_output(folder, overwrite=overwrite)
    with Atomic(folder / "cases.csv") as temporary:
        _write_cases(summary, temporary)
    with Atomic(folder / "summary.md") as temporary:
        temporary.write_text(markdown(summary), encoding="utf-8")
    if summary.reliability:
        with Atomic(folder / "reliability.csv") as temporary:
            _write_reliability(summary, temporary)
        with Atomic(folder / "reliability.png") as temporary:
            draw_reliability(summary, temporary)
    with Atomic(folder / "summary.json") as temporary:
        text = json.dumps(summary.to_plain(), indent=1, allow_nan=False)
        temporary.write_text(text, encoding="utf-8")
    return folder


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Refuses a folder that is a file, or that holds an evaluation already.

    Raises:
        EvaluationError: See above.
    """
    if (folder.exists() and not folder.is_dir()) or folder.suffix in (".json", ".csv", ".md"):
        raise EvaluationError(f"{folder}: is the name of a file; give a folder for the results.")
    found = next((folder / name for name in FILES if (folder / name).exists()), None)
    if found and not overwrite:
        raise EvaluationError(f"{found}: exists already. Give another folder, or --overwrite.")


def _write_cases(summary: Summary, path: Path) -> None:
    several = len(summary.methods) > 1
    head = ["case", "class", "metric", "value", "unit", *(["method"] if several else [])]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        for score in summary.scores:
            value = "" if math.isnan(score.value) else repr(float(score.value))
            unit = summary.record(score.metric).unit
            row = [score.case, score.label, score.metric, value, unit]
            writer.writerow([*row, score.method] if several else row)


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
                writer.writerow([method, label, *cells])


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
            title=method,
        )
        axes.legend(fontsize="small", loc="upper left")
    figure.savefig(path, format="png")


def _draw_curve(axes: object, label: str, bins: Reliability) -> None:
    held = bins.counts > 0
    axes.plot(bins.confidence[held], bins.accuracy[held], marker="o", markersize=3, label=label)  # type: ignore[attr-defined]


def markdown(summary: Summary) -> str:
    """The summary for people: means with intervals per class, then what compares the methods."""
    lines = ["# Evaluation", ""]
    lines.append(f"{len(summary.cases)} cases, {len(summary.labels)} classes.")
    for title, names in (
        ("No prediction, scored as worst", summary.missing),
        ("Predictions without reference, not scored", summary.surplus),
    ):
        if names:
            lines.append(f"{title}: {', '.join(names)}.")
    lines += [f"Note: {note}" for note in summary.notes]
    for method in summary.methods:
        lines += ["", f"## {method}" if method else "## Scores", ""]
        lines += _method_table(summary, method)
    lines += _comparisons(summary) + _rankings(summary)
    lines += ["", "## Metrics", "", "| metric | what | better | unit | empty masks |"]
    lines.append("|---|---|---|---|---|")
    for name in summary.metrics:
        record = summary.record(name)
        better = record.direction or "–"
        lines.append(
            f"| {name} | {record.title} | {better} | {record.unit or '–'} | {record.empty} |"
        )
    lines += [
        "",
        "Mean over cases [95 % bootstrap interval]; n.c.: values that do not count.",
        "",
    ]
    return "\n".join(lines)


def _method_table(summary: Summary, method: str) -> list[str]:
    metrics = [name for name in summary.metrics if summary.labels_of(name, method)]
    lines = ["| class | " + " | ".join(summary.heading(name) for name in metrics) + " |"]
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
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
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
                f"| {item.metric} | {item.first} − {item.second} | {gap} | {item.wilcoxon_p:.3g} "
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
            lines.append(f"| {place} | {name} | {ranking.scores[name]:.3f} | {share:.0%} |")
    return lines


class Atomic:
    """A temporary file beside the target that is renamed when the block succeeds."""

    def __init__(self, target: Path) -> None:
        self.target = target
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".partial-", dir=target.parent)
        os.close(handle)
        self.temporary = Path(name)

    def __enter__(self) -> Path:
        return self.temporary

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            mask = os.umask(0)
            os.umask(mask)
            self.temporary.chmod(0o666 & ~mask)
            os.replace(self.temporary, self.target)
        else:
            self.temporary.unlink(missing_ok=True)
