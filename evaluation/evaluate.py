"""Compares predictions with references: arrays, files or folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from evaluation.confusion import count_classes
from evaluation.errors import EvaluationError
from evaluation.files import LabelMap, geometry_fault, list_label_maps, read_label_map
from evaluation.labels import Classes
from evaluation.metrics import METRICS
from evaluation.summary import Score, Summary


def score_arrays(
    reference: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
    classes: Mapping[str, Sequence[int]],
    *,
    voxel_ml: float = 0.001,
    ignore: int | None = None,
) -> dict[str, dict[str, float]]:
    """Scores one case.

    Args:
        reference: Label map.
        prediction: Label map of the same shape.
        classes: Name → raw values.
        voxel_ml: Volume of a voxel.
        ignore: Raw value of reference voxels that do not count.

    Returns:
        Class → metric → value.

    Raises:
        ValueError: The shapes differ.
    """
    counts = count_classes(reference, prediction, classes, ignore=ignore)
    return {
        name: {key: metric.compute(count, voxel_ml) for key, metric in METRICS.items()}
        for name, count in counts.items()
    }


def evaluate_files(
    references: Mapping[str, Path],
    predictions: Mapping[str, Path],
    classes: Classes | None = None,
    *,
    workers: int = 2,
) -> Summary:
    """Scores all reference cases; a missing prediction counts as an empty one.

    Args:
        references: Case → label map.
        predictions: Case → label map.
        classes: What to score; None scores every value that the references hold.
        workers: Threads.

    Raises:
        EvaluationError: Files that cannot be read or do not fit, all of them together.
    """
    faults: list[str] = []
    if not set(references) & set(predictions):
        raise EvaluationError(
            f"No prediction has the name of a reference; references are called "
            f"{_some(references)}, predictions {_some(predictions)}."
        )

    def load(case: str) -> tuple[LabelMap, LabelMap | None] | None:
        try:
            reference = read_label_map(references[case])
            if case not in predictions:
                return reference, None
            prediction = read_label_map(predictions[case])
        except EvaluationError as error:
            faults.append(str(error))
            return None
        fault = geometry_fault(reference, prediction, predictions[case])
        if fault:
            faults.append(f"{predictions[case]}: {fault}. Export it on the reference's grid.")
            return None
        return reference, prediction

    found = classes
    if found is None:
        found = _classes_of(references)
    scores: list[Score] = []

    def score(case: str) -> list[Score]:
        loaded = load(case)
        if loaded is None:
            return []
        reference, prediction = loaded
        predicted = np.zeros_like(reference.labels) if prediction is None else prediction.labels
        values = score_arrays(
            reference.labels,
            predicted,
            found.members,
            voxel_ml=reference.voxel_ml,
            ignore=found.ignore,
        )
        return [
            Score(case=case, label=label, metric=metric, value=value)
            for label, metrics in values.items()
            for metric, value in metrics.items()
        ]

    cases = sorted(references)
    with ThreadPoolExecutor(max(1, workers)) as executor:
        parts = executor.map(score, cases)
        for part in tqdm(parts, total=len(cases), desc="Evaluating", unit="case", disable=None):
            scores.extend(part)
    if faults:
        raise EvaluationError("\n".join(sorted(faults)))
    return Summary(
        scores=tuple(scores),
        missing=tuple(case for case in cases if case not in predictions),
        surplus=tuple(case for case in sorted(predictions) if case not in references),
    )


def evaluate_folders(
    reference: Path, prediction: Path, classes: Classes | None = None, *, workers: int = 2
) -> Summary:
    """Scores a folder (or file) of predictions against a folder (or file) of references.

    Files belong together by their names without ending; two single files always do.

    Raises:
        EvaluationError: See `evaluate_files`.
    """
    references, predictions = list_label_maps(reference), list_label_maps(prediction)
    if reference.is_file() and prediction.is_file():
        predictions = dict(zip(references, predictions.values(), strict=True))
    return evaluate_files(references, predictions, classes, workers=workers)


def _classes_of(references: Mapping[str, Path]) -> Classes:
    values: set[int] = set()
    for path in references.values():
        values.update(int(value) for value in np.unique(read_label_map(path).labels))
    members = {f"label {value}": (value,) for value in sorted(values - {0})}
    if not members:
        raise EvaluationError("The references hold no foreground; name the classes with --labels.")
    return Classes(members=members)


def _some(names: Mapping[str, Path]) -> str:
    listed = sorted(names)[:3]
    return ", ".join(f"'{name}'" for name in listed) + (", …" if len(names) > 3 else "")
