"""From arrays to what metrics are computed from, with all their faults named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError
from evaluation.measures.masks import MaskPair
from evaluation.measures.rater_case import RaterCase, make_soft
from evaluation.measures.regions import region_masks
from evaluation.measures.reliability import (
    Calibration,
    CalibrationCounter,
    fine_bins,
    probability_fault,
)
from evaluation.metrics import Metric
from evaluation.settings import Settings

Array = npt.NDArray[Any]


def of_masks(
    metric: Metric,
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None,
    settings: Settings,
) -> float:
    """A metric of two masks; every value but 0 is foreground."""
    assert metric.of_masks is not None
    pair = MaskPair(_mask(reference, "reference"), _mask(prediction, "prediction"), spacing_mm)
    return float(metric.of_masks(pair, settings))


def of_probabilities(
    metric: Metric, reference: npt.ArrayLike, probabilities: npt.ArrayLike, settings: Settings
) -> float:
    """A metric of probabilities; of one per class the mean over the channels."""
    assert metric.of_probabilities is not None
    arrays = (np.asarray(reference), np.asarray(probabilities))
    item = calibrate(*arrays, settings, with_mass=metric.adaptive or settings.adaptive)
    if metric.scope == "all":
        return float(metric.of_probabilities(item, settings))
    parts = [metric.of_probabilities(part, settings) for part in item.classes]
    known = [part for part in parts if not math.isnan(part)]
    return sum(known) / len(known) if known else math.nan


def of_raters(
    metric: Metric,
    raters: Sequence[npt.ArrayLike],
    prediction: npt.ArrayLike | None,
    probabilities: npt.ArrayLike | None,
    spacing_mm: Sequence[float] | None,
    settings: Settings,
) -> float:
    """A metric of several raters' masks.

    Raises:
        EvaluationError: There are none, their shapes differ, or the probabilities are none.
    """
    assert metric.of_raters is not None
    masks = [_mask(rater, "rater") for rater in raters]
    if not masks or any(mask.shape != masks[0].shape for mask in masks):
        raise EvaluationError("The raters' masks must be at least one, and of one shape.")
    soft = None
    if probabilities is not None:
        values = np.asarray(probabilities)
        fault = probability_fault(values[None], exclusive=False)
        if fault:
            raise EvaluationError(f"The probabilities {fault}.")
        soft = make_soft(values)
    found = None if prediction is None else _mask(prediction, "prediction")
    step = 0.001 if spacing_mm is None else math.prod(spacing_mm) / 1000
    case = RaterCase(masks, found, soft=soft, voxel_ml=step)
    return float(metric.of_raters(case, settings))


def calibrate(
    reference: Array, probabilities: Array, settings: Settings, *, with_mass: bool = True
) -> Calibration:
    """Counts the calibration of one case of exclusive channels.

    Args:
        reference: Label map [z, y, x] or [y, x] of channel numbers; negative ones do not count.
        probabilities: [c, z, y, x] or [c, y, x].
        settings: Bins and region.
        with_mass: Whether bins of equal numbers of voxels will be asked for.

    Raises:
        EvaluationError: Shapes differ, or the probabilities are none.
    """
    if reference.shape != probabilities.shape[1:]:
        raise EvaluationError(
            f"Shapes differ: reference {reference.shape}, probabilities {probabilities.shape}."
        )
    fault = probability_fault(probabilities, exclusive=True)
    if fault:
        raise EvaluationError(f"The probabilities {fault}.")
    names = [str(channel) for channel in range(len(probabilities))]
    counter = CalibrationCounter(
        names,
        exclusive=True,
        regions=(settings.region,),
        bins=fine_bins([settings.num_bins]),
        with_mass=with_mass,
    )
    masks = region_masks(reference, (settings.region,), settings.margin)
    counter.add(
        probabilities.reshape(len(probabilities), -1),
        reference.reshape(-1).astype(np.int64),
        {name: None if mask is None else mask.reshape(-1) for name, mask in masks.items()},
    )
    result, _ = counter.result()
    assert result is not None
    return result


def _mask(values: npt.ArrayLike, name: str) -> npt.NDArray[np.bool_]:
    array = np.asarray(values)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise EvaluationError(f"The {name} holds NaN or infinite values; expected a mask.")
    return array.astype(bool, copy=False)
