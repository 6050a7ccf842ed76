"""Compares predictions with references: files or folders, of one method or several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.challenges import Mode, find_profile
from evaluation.comparing import compared
from evaluation.errors import EvaluationError
from evaluation.files.label_maps import LabelMap, read_label_map
from evaluation.labels import Classes
from evaluation.measures.voxel_counts import values_of
from evaluation.metrics import DEFAULT, Chosen, choose
from evaluation.output import check_output
from evaluation.read_back import read_summary
from evaluation.report import write_summary
from evaluation.scoring.case import CaseFiles
from evaluation.scoring.inputs import (
    Inputs,
    check_names,
    find_inputs,
    missing_predictions,
    rater_notes,
    surplus_predictions,
)
from evaluation.scoring.masks import score_masks
from evaluation.scoring.metrics import MetricRun
from evaluation.scoring.profile import ProfileFiles, ProfileRun
from evaluation.scoring.request import describe_request
from evaluation.scoring.runs import run_cases
from evaluation.settings import Settings
from evaluation.summary import Summary

WITH_PROBABILITIES = ("ece", "classwise_ece", "brier", "nll")
WITH_RATERS = ("dice_per_rater", "dice_consensus", "rater_agreement", "ged", "crps")
WITH_BOTH = ("soft_dice", "volume_coverage", "consensus_confidence", "dissensus_confidence")


def score_arrays(
    reference: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
    classes: Mapping[str, Sequence[int]],
    *,
    spacing_mm: Sequence[float] | None = None,
    ignore: int | None = None,
    metrics: Iterable[str] = DEFAULT,
    settings: Settings | None = None,
    workers: int = 1,
) -> dict[str, dict[str, float]]:
    """Scores two label maps; what several classes and metrics need is computed once.

    Args:
        reference: Label map [z, y, x] or [y, x].
        prediction: Label map of the same shape.
        classes: Name → raw values; several values are a region.
        spacing_mm: Per axis; None: 1.
        ignore: Raw value of reference voxels that do not count.
        metrics: Metrics of label maps.
        settings: Choices about them.
        workers: Threads.

    Returns:
        Class → metric → value.

    Raises:
        ValueError: The shapes differ.
        EvaluationError: A metric is unknown or needs more than label maps.
    """
    chosen = choose(metrics, settings or Settings())
    for item in chosen:
        if item.metric.of_masks is None:
            raise EvaluationError(f"Metric '{item.name}' needs {item.metric.needs}.")
    steps = tuple(spacing_mm) if spacing_mm is not None else (1.0,) * reference.ndim
    label_map = LabelMap(labels=reference, spacing_mm=steps, origin_mm=(), direction=())
    found = Classes(
        members={name: tuple(values) for name, values in classes.items()}, ignore=ignore
    )
    with ThreadPoolExecutor(max(1, workers)) as executor:
        return score_masks(label_map, prediction, found, chosen, executor)


def evaluate_files(
    references: Mapping[str, Path],
    predictions: Mapping[str, Path],
    classes: Classes | None = None,
    *,
    metrics: Iterable[str] = DEFAULT,
    settings: Settings | None = None,
    workers: int = 2,
) -> Summary:
    """Scores all reference cases; a missing prediction counts as the worst one.

    Args:
        references: Case → label map.
        predictions: Case → label map.
        classes: What to score; None scores every value that the references hold.
        metrics: Names in the table of metrics.
        settings: Choices about the metrics.
        workers: Threads.

    Raises:
        EvaluationError: Files that cannot be read or do not fit, all of them together.
    """
    inputs = Inputs(references=references, methods={"": predictions})
    return evaluate_inputs(inputs, classes, metrics=metrics, settings=settings, workers=workers)


def evaluate_folders(
    reference: Path,
    prediction: Path | Sequence[Path],
    classes: Classes | None = None,
    *,
    metrics: Iterable[str] | None = None,
    settings: Settings | None = None,
    raters: Sequence[Path] = (),
    probabilities: Sequence[Path] = (),
    profile: str | None = None,
    mode: Mode = "official",
    images: Path | None = None,
    vessels: Path | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
    workers: int = 2,
) -> Summary:
    """Scores folders (or single files) of predictions against a folder (or file) of references.

    Files belong together by their names without ending; two single files always do.

    Args:
        reference: Folder or file; `majority` or `staple` makes it from the raters.
        prediction: Folder or file, or several of them: one per method, compared pairwise.
        classes: What to score; None scores every value of the references, or the profile's.
        metrics: Names in the table of metrics; None: overlap and surface, with probabilities
            calibration, with raters their measures.
        settings: Choices about the metrics.
        raters: Folders of label maps, one per rater, or one that holds them.
        probabilities: Folders of probabilities, one per prediction.
        profile: Name of a challenge, whose scores are computed instead.
        mode: Of the profile: official (bug for bug) or exact.
        images: Folder of images, for profiles that crop to them.
        vessels: Folder of vessel maps, for profiles that need them.
        output: Folder for the results, see `write_summary`; results of the same files and options
            that are there already are read.
        overwrite: Replace results that are there.
        seed: Of bootstrap and permutations.
        workers: Threads.

    Raises:
        EvaluationError: Something does not fit; all faults of the files together.
    """
    found_profile = None if profile is None else find_profile(profile)
    if found_profile is not None and classes is None:
        classes = found_profile.classes
    inputs = find_inputs(
        reference,
        [prediction] if isinstance(prediction, Path) else list(prediction),
        raters,
        probabilities,
        classes=classes,
        profile=found_profile,
        images=images,
        vessels=vessels,
    )
    names = None if metrics is None else tuple(metrics)
    settings = settings or Settings()
    options = (*(names or ("",)), profile, mode, seed)
    request = describe_request(inputs, classes, settings, options)
    if output is not None and check_output(output, overwrite=overwrite, request=request):
        summary = compared(read_summary(output))
        note = f"These scores are those in {output}, of the same files and options."
        return replace(summary, notes=(*summary.notes, note))
    summary = evaluate_inputs(
        inputs,
        classes,
        metrics=names,
        settings=settings,
        profile=profile,
        mode=mode,
        seed=seed,
        workers=workers,
    )
    if output is not None:
        write_summary(replace(summary, request=request), output)
    return summary


def evaluate_inputs(
    inputs: Inputs,
    classes: Classes | None = None,
    *,
    metrics: Iterable[str] | None = None,
    settings: Settings | None = None,
    profile: str | None = None,
    mode: Mode = "official",
    seed: int = 0,
    workers: int = 2,
) -> Summary:
    """Scores everything that is known of the cases; see `evaluate_folders`."""
    cases = inputs.cases()
    check_names(inputs, cases)
    settings = settings or Settings()
    if classes is None:
        classes = _classes_of(cases, workers)
    notes = rater_notes(inputs, cases)
    found_profile = None if profile is None else find_profile(profile)
    if profile is not None and found_profile is not None:
        files = ProfileFiles(images=inputs.images, vessels=inputs.vessels)
        run = ProfileRun(profile, found_profile, mode, files, inputs.consensus)
        parts = run_cases(cases, len(inputs.methods), workers, run.score)
        notes += run.notes(parts)
        scores = [score for part in parts for score in part]
        records = {name: found_profile.record(name) for name in {item.metric for item in scores}}
        reliability = {}
    else:
        chosen = choose(_default_metrics(inputs) if metrics is None else metrics, settings)
        _check_needs(chosen, inputs)
        mask_run = MetricRun(classes, chosen, inputs.consensus)
        steps = len(inputs.methods) * len(classes.members)
        parts = run_cases(cases, steps, workers, mask_run.score)
        records = {}
        scores = [score for part in parts for score in part]
        reliability = mask_run.reliability(settings)
        notes += mask_run.notes()
    scores.sort(key=lambda score: list(inputs.methods).index(score.method))
    return compared(
        Summary(
            scores=tuple(scores),
            missing=missing_predictions(inputs, cases),
            surplus=surplus_predictions(inputs, cases),
            notes=tuple(dict.fromkeys(notes)),
            records=records,
            reliability=reliability,
            seed=seed,
            profile=profile or "",
        )
    )


def _default_metrics(inputs: Inputs) -> tuple[str, ...]:
    names: tuple[str, ...] = DEFAULT
    if inputs.probabilities:
        names += WITH_PROBABILITIES
    if inputs.raters:
        names += WITH_RATERS
    if inputs.probabilities and inputs.raters:
        names += WITH_BOTH
    return names


def _check_needs(chosen: Sequence[Chosen], inputs: Inputs) -> None:
    for item in chosen:
        if item.metric.of_probabilities and not inputs.probabilities:
            raise EvaluationError(
                f"Metric '{item.name}' needs probabilities: give --probabilities."
            )
        if item.metric.of_raters and not inputs.raters:
            raise EvaluationError(f"Metric '{item.name}' needs raters: give --raters.")


def _classes_of(cases: Sequence[CaseFiles], workers: int) -> Classes:
    paths = [
        path
        for files in cases
        for path in ([files.reference] if files.reference is not None else files.raters.values())
    ]
    values: set[int] = set()
    with ThreadPoolExecutor(max(1, workers)) as executor:
        for found in executor.map(lambda path: values_of(read_label_map(path).labels), paths):
            values.update(found.tolist())
    members = {f"label {value}": (value,) for value in sorted(values - {0})}
    if not members:
        raise EvaluationError("The references hold no foreground; name the classes with --labels.")
    return Classes(members=members)


__all__ = [
    "Inputs",
    "evaluate_files",
    "evaluate_folders",
    "evaluate_inputs",
    "score_arrays",
]
