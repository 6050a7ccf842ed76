"""One case of an evaluation: what is read, and what is scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError
from evaluation.files.label_maps import LabelMap, geometry_fault, read_label_map
from evaluation.files.probability_maps import ProbabilityMap
from evaluation.labels import Classes
from evaluation.measures.boxes import box_of
from evaluation.measures.masks import pairs
from evaluation.measures.rater_case import LEVELS, RaterCase, make_soft
from evaluation.measures.regions import region_masks
from evaluation.measures.reliability import (
    Calibration,
    CalibrationCounter,
    fine_bins,
    probability_fault,
)
from evaluation.measures.voxel_counts import count_classes
from evaluation.metrics import METRICS, Chosen
from evaluation.metrics.metric import Metric
from evaluation.metrics.raters import dice_of
from evaluation.scoring.consensus import Consensus, merge

Labels = npt.NDArray[np.integer]
LARGEST_TABLE = 1 << 16
"""Up to here a table has an entry for every value."""


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """Files of one case.

    Attributes:
        case: Its name.
        reference: Label map; None: made from the raters.
        raters: Label map by rater.
        predictions: Label map by method; a missing prediction is None.
        probabilities: Files by method.
    """

    case: str
    reference: Path | None
    raters: Mapping[str, Path] = field(default_factory=dict)
    predictions: Mapping[str, Path | None]
    probabilities: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)


def read_checked(path: Path, like: LabelMap | None) -> LabelMap:
    """Reads a label map and checks that it lies on another's grid."""
    found = read_label_map(path)
    if like is not None:
        check_grid(found, like, path)
    return found


def check_grid(found: LabelMap, like: LabelMap, path: Path) -> None:
    """Refuses a label map that lies on another grid.

    Raises:
        EvaluationError: See above.
    """
    if fault := geometry_fault(like, found, path):
        raise EvaluationError(f"{path}: {fault}. Export it on the reference's grid.")


def score_masks(
    reference: LabelMap,
    prediction: Labels | None,
    classes: Classes,
    chosen: Sequence[Chosen],
    executor: Executor | None = None,
    done: Callable[[], Any] = lambda: None,
) -> dict[str, dict[str, float]]:
    """Scores label maps, class by class.

    Args:
        reference: The reference.
        prediction: Label map; None: there is none, which is scored as the worst prediction.
        classes: What to score.
        chosen: Metrics of label maps.
        executor: Runs the classes.
        done: Called after each class.
    """
    labels = reference.labels
    predicted = np.zeros_like(labels) if prediction is None else prediction
    counts = count_classes(labels, predicted, classes.members, ignore=classes.ignore)
    cuts = pairs(labels, predicted, classes.members, counts, reference.spacing_mm, classes.ignore)

    def score(cut: Any) -> tuple[str, dict[str, float]]:
        pair, values = cut.pair(), {}
        for item in chosen:
            assert item.metric.of_masks is not None
            value = item.metric.of_masks(pair, item.settings)
            if prediction is None:
                value = at_worst(item.metric, value, pair.diagonal_mm)
            values[item.name] = float(value)
        done()
        return pair.label, values

    results = dict(executor.map(score, cuts) if executor is not None else map(score, cuts))
    return {name: results[name] for name in classes.members}


def at_worst(metric: Metric, value: float = math.nan, diagonal_mm: float = math.nan) -> float:
    """Value of a missing prediction: the worst that there is, whatever the masks and policies say.

    Args:
        metric: Knows which values are worse.
        value: What an empty prediction got; counts where nothing worse is known.
        diagonal_mm: Worst value of distances.
    """
    if metric.direction is None:
        return value
    worst = metric.low if metric.direction == "higher" else metric.high
    if metric.worst is not None:
        worst = metric.worst
    elif math.isinf(worst):
        worst = diagonal_mm if metric.unit == "mm" else math.nan
    if math.isnan(value) or math.isnan(worst):
        return value if math.isnan(worst) else worst
    return min(value, worst) if metric.direction == "higher" else max(value, worst)


def channels_of(classes: Classes, number: int, path: Path) -> tuple[tuple[str | None, ...], bool]:
    """Names of a probability map's channels, and whether they exclude each other.

    Labels: background first and then the classes by value, or without the background. Regions: one
    channel per class, in the order of the table of classes.

    Raises:
        EvaluationError: The number of channels fits neither.
    """
    if classes.has_regions:
        if number != len(classes.members):
            raise EvaluationError(
                f"{path}: has {number} channels; expected {len(classes.members)}, one per region."
            )
        return tuple(classes.members), False
    names = sorted(classes.members, key=lambda name: classes.members[name][0])
    if number not in (len(names), len(names) + 1):
        raise EvaluationError(
            f"{path}: has {number} channels; expected {len(names) + 1} (background and classes) "
            f"or {len(names)} (without background)."
        )
    return (None, *names), True


def with_background(values: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """Adds the background to probabilities that lack it: 1 minus their sum, not below 0."""
    if len(values) == channels:
        return values
    total = values.astype(np.float32).sum(axis=0, keepdims=True)
    return np.concatenate((np.maximum(1 - total, 0), values.astype(np.float32)))


def count_calibration(
    reference: Labels,
    probabilities: ProbabilityMap,
    classes: Classes,
    chosen: Sequence[Chosen],
    executor: Executor | None = None,
) -> tuple[Calibration | None, dict[str, Calibration]]:
    """Counts the calibration of a case in one pass over the slabs of its probabilities.

    Raises:
        EvaluationError: Shapes differ, or the values are no probabilities.
    """
    path = probabilities.path
    probabilities.fit(reference.shape)
    names, exclusive = channels_of(classes, probabilities.shape[0], path)
    regions = tuple(dict.fromkeys(item.settings.region for item in chosen))
    margin = max(item.settings.margin for item in chosen)
    wanted = {item.name.split(":")[0] for item in chosen}
    per_class = {item.name for item in chosen if item.metric.scope == "class"}
    counter = CalibrationCounter(
        names,
        exclusive=exclusive,
        regions=regions,
        bins=fine_bins([item.settings.num_bins for item in chosen]),
        with_classes=bool(per_class) or "ace" in wanted,
        with_mass=any(item.metric.adaptive or item.settings.adaptive for item in chosen),
        with_scores=bool(wanted & {"brier", "classwise_brier", "nll"}),
        executor=executor,
    )
    masks = region_masks(_known(reference, classes), regions, margin)
    lookup = _channel_lookup(reference, classes, names) if exclusive else None
    for place, slab in probabilities.slabs():
        values = with_background(slab, len(names)) if exclusive else slab
        values = values.reshape(len(values), -1)
        part = reference[place]
        if lookup is not None:
            target = lookup(part).reshape(-1)
        else:
            target = np.stack(
                [np.isin(part, members).reshape(-1) for members in classes.members.values()]
            )
        chosen_masks = {
            name: None if mask is None else mask[place].reshape(-1) for name, mask in masks.items()
        }
        try:
            counter.add(values, target, chosen_masks)
        except ValueError as error:
            raise EvaluationError(f"{path}: the probabilities {error}.") from None
    return counter.result()


def _known(reference: Labels, classes: Classes) -> Labels:
    if classes.ignore is None:
        return reference
    return np.where(reference == classes.ignore, 0, reference)


def _channel_lookup(
    reference: Labels, classes: Classes, names: Sequence[str | None]
) -> Callable[[Labels], npt.NDArray[np.int16]]:
    """Raw values → channels; values that are no class are background, ignored ones -1."""
    channels = {
        classes.members[name][0]: channel for channel, name in enumerate(names) if name is not None
    }
    if classes.ignore is not None:
        channels[classes.ignore] = -1
    low, high = int(reference.min(initial=0)), int(reference.max(initial=0))
    if 0 <= low <= high < LARGEST_TABLE:
        table = np.zeros(high + 1, dtype=np.int16)
        for value, channel in channels.items():
            if 0 <= value <= high:
                table[value] = channel
        return lambda part: table[part]
    values = np.array(sorted(channels), dtype=np.int64)
    of_values = np.array([channels[int(value)] for value in values], dtype=np.int16)

    def look_up(part: Labels) -> npt.NDArray[np.int16]:
        place = np.minimum(np.searchsorted(values, part), len(values) - 1)
        return np.where(values[place] == part, of_values[place], np.int16(0))

    return look_up


def read_soft(
    probabilities: ProbabilityMap, classes: Classes, shape: tuple[int, ...]
) -> dict[str, npt.NDArray[np.float32]]:
    """Probability of every class, on the whole image."""
    probabilities.fit(shape)
    names, exclusive = channels_of(classes, probabilities.shape[0], probabilities.path)
    values = probabilities.whole()
    if exclusive:
        values = with_background(values, len(names))
    fault = probability_fault(values, exclusive=exclusive)
    if fault:
        raise EvaluationError(f"{probabilities.path}: the probabilities {fault}.")
    return {
        name: values[channel].astype(np.float32, copy=False)
        for channel, name in enumerate(names)
        if name is not None
    }


def score_raters(
    raters: Mapping[str, LabelMap],
    prediction: Labels | None,
    soft: Mapping[str, npt.NDArray[np.float32]] | None,
    classes: Classes,
    chosen: Sequence[Chosen],
    *,
    lacks_probabilities: bool = False,
) -> dict[str, dict[str, float]]:
    """Scores one method against several raters, class by class; a missing prediction is worst.

    Where Dice against the raters is asked for, that against each of them is there too, as
    `dice_per_rater:NAME`.
    """
    maps = list(raters.values())
    result: dict[str, dict[str, float]] = {}
    for name, members in classes.members.items():
        masks = [np.isin(rater.labels, members) for rater in maps]
        predicted = np.zeros(maps[0].labels.shape, dtype=bool)
        if prediction is not None:
            predicted = np.isin(prediction, members)
        values = None if soft is None else soft[name]
        inside = np.logical_or.reduce([*masks, predicted])
        if values is not None:
            inside = inside | (values > LEVELS[1])
        box = box_of(inside)
        case = RaterCase(
            [mask[box] for mask in masks],
            predicted[box],
            soft=None if values is None else make_soft(values, box),
            size=masks[0].size,
            voxel_ml=maps[0].voxel_ml,
        )
        result[name] = {}
        for item in chosen:
            assert item.metric.of_raters is not None
            value = float(item.metric.of_raters(case, item.settings))
            if prediction is None or (lacks_probabilities and math.isnan(value)):
                value = at_worst(item.metric, value)
            result[name][item.name] = value
            if item.metric is METRICS["dice_per_rater"] and prediction is not None:
                result[name] |= {
                    f"{item.name}:{rater}": dice_of(mask, predicted[box], item.settings)
                    for rater, mask in zip(raters, case.raters, strict=True)
                }
    return result


def load_case(
    files: CaseFiles, consensus: Consensus
) -> tuple[dict[str, LabelMap], LabelMap, dict[Path, LabelMap]]:
    """Raters, reference, and the first prediction, which is read at the same time."""
    first = next((path for path in files.predictions.values() if path is not None), None)
    with ThreadPoolExecutor(1) as executor:
        early = None if first is None else executor.submit(read_label_map, first)
        reference = None if files.reference is None else read_label_map(files.reference)
        raters: dict[str, LabelMap] = {}
        for name, path in files.raters.items():
            known = reference or next(iter(raters.values()), None)
            raters[name] = read_checked(path, known)
        if reference is None:
            reference = merge(list(raters.values()), consensus)
        read = {} if early is None or first is None else {first: early.result()}
    return raters, reference, read


def load_labels(
    path: Path | None, read: dict[Path, LabelMap], reference: LabelMap
) -> npt.NDArray[np.integer] | None:
    """Labels of a prediction, which are read once and lie on the reference's grid."""
    if path is None:
        return None
    found = read.pop(path, None) or read_label_map(path)
    check_grid(found, reference, path)
    return found.labels
