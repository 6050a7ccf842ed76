"""Model cards: what a model is, for people who get it."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from autoseg.checkpoint import Checkpoint
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration
from autoseg.schema.serialise import write_text
from autoseg.version import __version__

NO_LICENCE = "not stated; fill it in before you share the model"
_LICENCE = re.compile(r"^\| licence \| (.*) \|$", re.MULTILINE)


def write_card(
    path: Path,
    checkpoint: Checkpoint,
    *,
    fingerprint: Fingerprint | None = None,
    scores: Mapping[str, Mapping[str, float | None]] | None = None,
    notes: Iterable[str] = (),
    origin: str = "autoseg",
) -> None:
    """Writes a model's card; a licence that somebody filled in is kept.

    Args:
        path: File to write.
        checkpoint: The model.
        fingerprint: Of the data set.
        scores: Class → metric → mean over the validation cases.
        notes: What users have to know.
        origin: Program that trained the model.
    """
    licence = NO_LICENCE
    if path.is_file() and (found := _LICENCE.search(path.read_text(encoding="utf-8"))):
        licence = found[1]
    configuration, made = checkpoint.configuration, checkpoint.provenance
    lines = [
        f"# {made.dataset}, {configuration.name}, fold {made.fold}",
        "",
        "| field | value |",
        "|---|---|",
        f"| licence | {licence} |",
        f"| data set | {made.dataset} |",
        f"| trained by | {origin} |",
        f"| cases | {_cases(checkpoint)} |",
        f"| steps | {made.steps or 'not known'} |",
        f"| versions | autoseg {__version__}, torch {torch.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()} |",
        *_plan_rows(configuration, checkpoint),
    ]
    if fingerprint is not None:
        lines += ["", "## Data", "", *_data_rows(fingerprint)]
    lines += ["", "## Labels", "", "| value | name |", "|---|---|"]
    for item in configuration.labels.classes:
        lines.append(f"| {', '.join(map(str, item.values))} | {item.name} |")
    if configuration.labels.ignore is not None:
        lines.append(f"| {configuration.labels.ignore} | (not labelled, ignored in training) |")
    if scores:
        metrics = list(next(iter(scores.values())))
        lines += ["", f"## Scores of the {len(made.val_cases)} validation cases", ""]
        lines += [f"| class | {' | '.join(metrics)} |", "|---" * (1 + len(metrics)) + "|"]
        for name, values in scores.items():
            cells = ["" if item is None else f"{item:.3f}" for item in values.values()]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    if notes := list(notes):
        lines += ["", "## Notes", "", *(f"- {note}" for note in notes)]
    lines += [
        "",
        "Not a medical device. Check predictions on your own images before you rely on them.",
    ]
    write_text(path, "\n".join(lines) + "\n")


def _cases(checkpoint: Checkpoint) -> str:
    made = checkpoint.provenance
    if not made.train_cases:
        return "not known"
    return f"{len(made.train_cases)} for training, {len(made.val_cases)} for validation"


def _plan_rows(configuration: Configuration, checkpoint: Checkpoint) -> list[str]:
    # Axes of the image before it was transposed, which is how people know them.
    names = ["zyx"[axis] for axis in configuration.transpose]
    in_patch = [names[axis] for axis in configuration.patch_axes]
    spacing = " × ".join(
        "as it is" if step is None else f"{step:g}" for step in configuration.spacing_mm
    )
    patch = " × ".join(map(str, configuration.patch_size))
    channels = ", ".join(
        f"{channel.name} ({channel.normalisation})" for channel in configuration.channels
    )
    parameters = sum(item.numel() for item in checkpoint.weights.values()) / 1e6
    mirrored = [in_patch[axis] for axis in configuration.training.mirror_axes]
    return [
        f"| network | {configuration.network.architecture}, {parameters:.2f} M parameters |",
        f"| channels | {channels} |",
        f"| spacing (mm) | {spacing} ({', '.join(names)}) |",
        f"| orientation | {configuration.orientation or 'as the images have it'} |",
        f"| patch | {patch} ({', '.join(in_patch)}) |",
        f"| mirrored axes | {', '.join(sorted(mirrored, reverse=True)) or 'none'} |",
        f"| training | {configuration.training.loss}, {configuration.training.optimiser} |",
    ]


def _data_rows(fingerprint: Fingerprint) -> list[str]:
    cases = list(fingerprint.cases.values())
    spacing = np.median([case.spacing_mm for case in cases], axis=0)
    shape = np.median([case.shape for case in cases], axis=0)
    return [
        f"- {len(cases)} cases",
        f"- median spacing {' × '.join(f'{step:.3g}' for step in spacing)} mm (z, y, x)",
        f"- median shape {' × '.join(f'{size:.0f}' for size in shape)} voxels",
    ]
