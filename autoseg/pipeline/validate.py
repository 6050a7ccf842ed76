"""The validation cases of a trained fold: predictions, references, scores and a picture."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoseg import planned
from autoseg.costs.machine import find_device
from autoseg.datasets.file_names import image_ending
from autoseg.errors import InputError, UsageError
from autoseg.images.files import read_image, read_label_map, write_labels
from autoseg.leaks import check_fold, train_command
from autoseg.parallel import default_workers
from autoseg.preprocessing.raters import read_reference
from autoseg.preprocessing.store import source_signature
from autoseg.runlog import log_file
from autoseg.schema import serialise
from autoseg.schema.dataset import Case, Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.serialise import to_plain, write_text
from autoseg.workspace import Run, Workspace
from evaluation import Classes, Summary, evaluate_files, write_summary

if TYPE_CHECKING:
    from autoseg.inference.files import Report
    from autoseg.inference.models import Model

logger = logging.getLogger(__name__)

NUM_PANELS = 8
MARKER = "model.json"


def validate(
    workspace: Path | str,
    configuration: str,
    fold: int | str,
    *,
    device: str = "auto",
    workers: int | None = None,
) -> Summary:
    """Predicts the validation cases of a trained fold, scores them and draws some of them.

    Cases that were predicted already by this model are not predicted again.

    Returns:
        The scores, which are also in the run's folder.

    Raises:
        InputError: The fold has changed since the model was trained, or it has other labels.
        UsageError: The fold has no validation cases, or is not trained.
    """
    from autoseg.inference.models import load_models

    workspace = Workspace(Path(workspace))
    dataset, run = planned.load_dataset(workspace), workspace.run(configuration, fold)
    chosen = planned.load_fold(workspace, dataset, fold)
    if not chosen.val:
        raise UsageError(
            f"Fold {fold} has no validation cases: its networks have learnt from all cases."
        )
    if not run.final.is_file():
        raise UsageError(f"{run.folder}: not trained yet. Run autoseg_train first.")
    (model,) = load_models([run.final], same_fold=True)
    _check_model(model, workspace, dataset, configuration, fold)
    cases = {case.identifier: case for case in dataset.cases if case.identifier in set(chosen.val)}
    with log_file(run.log):
        report = predict_cases(
            model, run, cases, device=find_device(device), workers=workers or default_workers()
        )
        if report.failed:
            raise InputError(
                "\n".join(f"Case '{case}': {reason}" for case, reason in report.failed.items())
            )
        reference = references(workspace, dataset, cases)
        summary = score(run, dataset, cases, reference)
        draw(run, cases, reference, summary)
        describe(workspace, run)
        for line in summary.table().splitlines():
            logger.info(line)
    return summary


def _check_model(
    model: Model, workspace: Workspace, dataset: Dataset, configuration: str, fold: int | str
) -> None:
    """Refuses scores that would be wrong: of cases that the model knows, or of other labels."""
    command = train_command(workspace, configuration, fold)
    final = workspace.run(configuration, fold).final
    cases = planned.load_fold(workspace, dataset, fold)
    check_fold(model.provenances(), cases, final, command=command)
    if model.checkpoint.configuration.labels != dataset.labels:
        raise InputError(
            f"{final}: was trained for other labels than {workspace.dataset} has now. Train it "
            f"anew with {command}."
        )


def predict_cases(
    model: Model, run: Run, cases: Mapping[str, Case], *, device: str, workers: int
) -> Report:
    """Predicts validation cases; those that this very model predicted already are kept."""
    from autoseg.inference.files import predict_files
    from autoseg.inference.network import Options
    from autoseg.inference.predictor import Predictor

    _remove_stale(model, run, cases)
    predictor = Predictor([model], Options(device=device))
    return predict_files(
        predictor,
        {name: case.images for name, case in cases.items()},
        {name: prediction_path(run, case) for name, case in cases.items()},
        resume=True,
        workers=workers,
    )


def _remove_stale(model: Model, run: Run, cases: Mapping[str, Case]) -> None:
    """Removes predictions of another model, of images that have changed, and of other cases."""
    marker = run.validation / MARKER
    files = [(path, path.stat()) for path in model.files()]
    identity = [[path.name, status.st_size, status.st_mtime_ns] for path, status in files]
    images = {
        name: source_signature(replace(case, label=None, raters={})) for name, case in cases.items()
    }
    earlier = read_json(marker)
    known = earlier["images"] if earlier.get("model") == identity else {}
    keep = {prediction_path(run, cases[name]) for name in cases if known.get(name) == images[name]}
    for path in run.validation.glob("*"):
        if path not in keep:
            path.unlink()
    write_text(marker, json.dumps({"model": identity, "images": images}))


def prediction_path(run: Run, case: Case) -> Path:
    """Where the prediction of a validation case lies."""
    return run.validation / f"{case.identifier}{image_ending(case.images[0].name)}"


def references(
    workspace: Workspace, dataset: Dataset, cases: Mapping[str, Case]
) -> dict[str, Path]:
    """Label map per case; where raters outlined it, their majority is written and taken."""
    result = {}
    for name, case in cases.items():
        if case.label is not None:
            result[name] = case.label
            continue
        path = workspace.root / "references" / f"{name}{image_ending(case.images[0].name)}"
        source = {"files": source_signature(case), "labels": to_plain(dataset.labels)}
        made_from = path.with_name(f"{name}.json")
        if not path.is_file() or read_json(made_from) != source:
            made_from.unlink(missing_ok=True)
            _, geometry = read_image(case.images[0])
            labels = read_reference(case, dataset.labels)
            write_labels(path, dataset.labels.decode(labels), geometry)
            write_text(made_from, json.dumps(source))
        result[name] = path
    return result


def read_json(path: Path) -> dict[str, Any]:
    """A file that says what others were made from; nothing where it is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def score(
    run: Run, dataset: Dataset, cases: Mapping[str, Case], reference: Mapping[str, Path]
) -> Summary:
    """Scores the predictions and writes summary.json, cases.csv and summary.md beside them."""
    members = {item.name: item.values for item in dataset.labels.classes}
    summary = evaluate_files(
        reference,
        {name: prediction_path(run, case) for name, case in cases.items()},
        Classes(members=members, ignore=dataset.labels.ignore),
    )
    write_summary(summary, run.validation)
    return summary


def describe(workspace: Workspace, run: Run) -> None:
    """Writes the model's card with its scores."""
    from autoseg.checkpoint import load_checkpoint
    from autoseg.report.model_card import write_card

    means = json.loads((run.validation / "summary.json").read_text())["mean_per_class"]
    write_card(
        run.card,
        load_checkpoint(run.final),
        fingerprint=serialise.load(Fingerprint, workspace.fingerprint),
        scores=means,
    )


def draw(
    run: Run, cases: Mapping[str, Case], reference: Mapping[str, Path], summary: Summary
) -> Path:
    """Draws the worst, the best and some cases between them; returns the picture's path."""
    from autoseg.report.overlay import Panel, draw_overlays

    means = {}
    for name in cases:
        values = [
            item.value
            for item in summary.scores
            if item.case == name and item.metric == "dice" and item.value == item.value
        ]
        means[name] = sum(values) / len(values) if values else 1.0
    ordered = sorted(means, key=lambda name: (means[name], name))
    count = min(NUM_PANELS, len(ordered))
    chosen = [
        ordered[round(index * (len(ordered) - 1) / max(count - 1, 1))] for index in range(count)
    ]
    panels = []
    for name in chosen:
        image, _ = read_image(cases[name].images[0])
        panels.append(
            Panel(
                title=f"{name}  Dice {means[name]:.3f}",
                image=image[0],
                reference=read_label_map(reference[name])[0][0],
                prediction=read_label_map(prediction_path(run, cases[name]))[0][0],
            )
        )
    path = run.validation / "overlays.png"
    draw_overlays(path, panels)
    return path
