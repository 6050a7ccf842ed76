"""Table of metrics with what a reader must know: direction, unit, range, empty-mask policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evaluation.confusion import Counts
from evaluation.metrics.overlap import dice, precision, recall
from evaluation.metrics.volume import volume_difference_ml, volume_ml


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        compute: From the voxel counts of a class and the volume of a voxel in ml.
        higher_is_better: Direction; None where neither is better.
        unit: Unit, "" for shares.
        empty: What the value is where masks are empty.
    """

    compute: Callable[[Counts, float], float]
    higher_is_better: bool | None
    unit: str
    empty: str


METRICS: dict[str, Metric] = {
    "dice": Metric(
        compute=dice,
        higher_is_better=True,
        unit="",
        empty="both empty: not counted (nan); one empty: 0",
    ),
    "precision": Metric(
        compute=precision,
        higher_is_better=True,
        unit="",
        empty="prediction empty: not counted (nan)",
    ),
    "recall": Metric(
        compute=recall,
        higher_is_better=True,
        unit="",
        empty="reference empty: not counted (nan)",
    ),
    "reference_volume": Metric(
        compute=lambda counts, voxel_ml: volume_ml(counts.reference, voxel_ml),
        higher_is_better=None,
        unit="ml",
        empty="0",
    ),
    "predicted_volume": Metric(
        compute=lambda counts, voxel_ml: volume_ml(counts.predicted, voxel_ml),
        higher_is_better=None,
        unit="ml",
        empty="0",
    ),
    "volume_difference": Metric(
        compute=volume_difference_ml,
        higher_is_better=None,
        unit="ml",
        empty="0 where both are empty",
    ),
}
