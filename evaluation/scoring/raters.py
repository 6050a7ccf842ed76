"""Scores one method against several raters, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError
from evaluation.files.label_maps import LabelMap
from evaluation.files.probability_maps import ProbabilityMap
from evaluation.labels import Classes
from evaluation.measures.boxes import box_of
from evaluation.measures.grid import Grid
from evaluation.measures.rater_case import LEVELS, RaterCase, make_soft
from evaluation.measures.reliability import probability_fault
from evaluation.metrics import METRICS, Chosen
from evaluation.metrics.raters import dice_of_rater
from evaluation.scoring.calibration import channels_of, with_background
from evaluation.scoring.case import Labels
from evaluation.scoring.worst import worst_value

Mask = npt.NDArray[np.bool_]


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
    reference: LabelMap,
    prediction: Labels | None,
    soft: Mapping[str, npt.NDArray[np.float32]] | None,
    classes: Classes,
    chosen: Sequence[Chosen],
    *,
    lacks_probabilities: bool = False,
) -> dict[str, dict[str, float]]:
    """Scores one method against several raters.

    Where Dice against the raters is asked for, that against each of them is there too, as
    `dice_per_rater:NAME`.

    Args:
        raters: Label map by rater.
        reference: Its ignored voxels count nowhere; those of a rater do not count for him.
        prediction: Label map; None: there is none, which is scored as the worst prediction.
        soft: Probabilities by class.
        classes: What to score.
        chosen: Metrics of raters.
        lacks_probabilities: The case has none although the method has some: that is the worst,
            too, for metrics that look at them.
    """
    unknown = _unknown(raters, reference, classes.ignore)
    grid = Grid(shape=reference.labels.shape, spacing_mm=reference.spacing_mm)
    result: dict[str, dict[str, float]] = {}
    for name, members in classes.members.items():
        case = _make_case(
            raters, reference, prediction, members, None if soft is None else soft[name], unknown
        )
        values: dict[str, float] = {}
        for item in chosen:
            assert item.metric.of_raters is not None
            found = {item.name: float(item.metric.of_raters(case, item.settings))}
            if item.metric is METRICS["dice_per_rater"]:
                found |= {
                    f"{item.name}:{rater}": dice_of_rater(case, number, item.settings)
                    for number, rater in enumerate(raters)
                }
            if prediction is None or (lacks_probabilities and item.metric.needs_soft):
                found = {
                    key: worst_value(item.metric, grid, item.settings, value)
                    for key, value in found.items()
                }
            values |= found
        result[name] = values
    return result


def _unknown(
    raters: Mapping[str, LabelMap], reference: LabelMap, ignore: int | None
) -> Mask | None:
    """[r, …] voxels that do not count for each rater; None: all count."""
    if ignore is None:
        return None
    nobody = reference.labels == ignore
    found = np.stack([(rater.labels == ignore) | nobody for rater in raters.values()])
    return found if found.any() else None


def _make_case(
    raters: Mapping[str, LabelMap],
    reference: LabelMap,
    prediction: Labels | None,
    members: Sequence[int],
    soft: npt.NDArray[np.float32] | None,
    unknown: Mask | None,
) -> RaterCase:
    """One class, cut to the box of all that counts."""
    masks = [np.isin(rater.labels, members) for rater in raters.values()]
    shape = reference.labels.shape
    predicted = np.zeros(shape, bool) if prediction is None else np.isin(prediction, members)
    inside = np.logical_or.reduce([*masks, predicted])
    if soft is not None:
        inside |= soft > LEVELS[1]
    counted = None
    if unknown is not None:
        counted = np.asarray(~unknown.any(axis=0))
        inside |= ~counted
    box = box_of(inside)
    return RaterCase(
        [mask[box] for mask in masks],
        predicted[box],
        unknown=None if unknown is None else unknown[(slice(None), *box)],
        soft=None if soft is None else make_soft(soft, box, counted),
        size=reference.labels.size,
        voxel_ml=reference.voxel_ml,
    )
