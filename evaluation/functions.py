"""Every metric as a function on arrays: `evaluation.hd95(reference, prediction, spacing_mm)`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

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
from evaluation.metrics import METRICS
from evaluation.metrics.metric import Metric
from evaluation.settings import Settings

Array = npt.NDArray[Any]


class MaskFunction(Protocol):
    """A metric of two masks."""

    def __call__(
        self,
        reference: npt.ArrayLike,
        prediction: npt.ArrayLike,
        spacing_mm: Sequence[float] | None = None,
        **settings: Any,
    ) -> float:
        """Scores a prediction."""


class ProbabilityFunction(Protocol):
    """A metric of probabilities."""

    def __call__(
        self, reference: npt.ArrayLike, probabilities: npt.ArrayLike, **settings: Any
    ) -> float:
        """Scores probabilities."""


class RaterFunction(Protocol):
    """A metric of several raters' masks."""

    def __call__(
        self,
        raters: Sequence[npt.ArrayLike],
        prediction: npt.ArrayLike | None = None,
        probabilities: npt.ArrayLike | None = None,
        spacing_mm: Sequence[float] | None = None,
        **settings: Any,
    ) -> float:
        """Scores a prediction against raters."""


def of_masks(name: str) -> MaskFunction:
    """The function of a mask metric of the table."""
    metric = METRICS[name]

    def function(
        reference: npt.ArrayLike,
        prediction: npt.ArrayLike,
        spacing_mm: Sequence[float] | None = None,
        **settings: Any,
    ) -> float:
        assert metric.of_masks is not None
        pair = MaskPair(_mask(reference, "reference"), _mask(prediction, "prediction"), spacing_mm)
        return float(metric.of_masks(pair, Settings(**settings)))

    arguments = """
    Args:
        reference: Mask [z, y, x] or [y, x]; every value but 0 is foreground.
        prediction: Mask of the same shape.
        spacing_mm: Voxel size per axis of the array; None: 1 mm.
        **settings: Fields of `evaluation.Settings`: both_empty, one_empty, surface, tolerance_mm,
            connectivity, lesion_iou, lesion_ml.
    """
    return _dress(function, name, metric, arguments)  # type: ignore[no-any-return]


def of_probabilities(name: str) -> ProbabilityFunction:
    """The function of a calibration metric of the table."""
    metric = METRICS[name]

    def function(reference: npt.ArrayLike, probabilities: npt.ArrayLike, **settings: Any) -> float:
        assert metric.of_probabilities is not None
        chosen = Settings(**settings)
        label, values = np.asarray(reference), np.asarray(probabilities)
        item = calibrate(label, values, chosen)
        if metric.scope == "all":
            return float(metric.of_probabilities(item, chosen))
        parts = [metric.of_probabilities(part, chosen) for part in item.classes]
        known = [part for part in parts if not math.isnan(part)]
        return sum(known) / len(known) if known else math.nan

    arguments = """
    Args:
        reference: Label map [z, y, x] or [y, x] of channel numbers; negative ones do not count.
        probabilities: [c, z, y, x] or [c, y, x], which sum to 1 over the channels; channel 0 is
            the background.
        **settings: Fields of `evaluation.Settings`: num_bins, norm, adaptive, region, margin. For
            metrics per class the mean over the channels is returned.
    """
    return _dress(function, name, metric, arguments)  # type: ignore[no-any-return]


def of_raters(name: str) -> RaterFunction:
    """The function of a metric of several raters of the table."""
    metric = METRICS[name]

    def function(
        raters: Sequence[npt.ArrayLike],
        prediction: npt.ArrayLike | None = None,
        probabilities: npt.ArrayLike | None = None,
        spacing_mm: Sequence[float] | None = None,
        **settings: Any,
    ) -> float:
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
        step = math.prod(spacing_mm) / 1000 if spacing_mm else 0.001
        case = RaterCase(masks, found, soft=soft, voxel_ml=step)
        return float(metric.of_raters(case, Settings(**settings)))

    arguments = """
    Args:
        raters: Masks [z, y, x] or [y, x] of one class, one per rater.
        prediction: Mask of the prediction.
        probabilities: Probability of the class, of the same shape.
        spacing_mm: Voxel size per axis; None: 1 mm.
        **settings: Fields of `evaluation.Settings`: both_empty, credibility, thresholds.
    """
    return _dress(function, name, metric, arguments)  # type: ignore[no-any-return]


def calibrate(reference: Array, probabilities: Array, settings: Settings) -> Calibration:
    """Counts the calibration of one case of exclusive channels.

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


def _dress(function: Any, name: str, metric: Metric, arguments: str) -> Any:
    upper = "∞" if math.isinf(metric.high) else f"{metric.high:g}"
    lower = "-∞" if math.isinf(metric.low) else f"{metric.low:g}"
    unit = f" {metric.unit}" if metric.unit else ""
    direction = f", {metric.direction} is better" if metric.direction else ""
    function.__name__ = function.__qualname__ = name
    function.__module__ = "evaluation"
    function.__doc__ = (
        f"{metric.title}.\n\n    {metric.source}.\n{arguments}\n"
        f"    Returns:\n        {lower} … {upper}{unit}{direction}.\n"
        f"        Empty masks: {metric.empty}.\n"
    )
    return function


FUNCTIONS: dict[str, Any] = {
    name: (
        of_masks(name)
        if metric.of_masks
        else of_probabilities(name)
        if metric.of_probabilities
        else of_raters(name)
    )
    for name, metric in METRICS.items()
}
