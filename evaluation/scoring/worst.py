"""What a missing prediction gets: the worst value, whatever masks and policies say."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from evaluation.measures.grid import Grid
from evaluation.measures.masks import MaskPair
from evaluation.measures.rater_case import RaterCase
from evaluation.metrics.metric import Metric
from evaluation.settings import Settings


def worst_value(metric: Metric, grid: Grid, settings: Settings, value: float = math.nan) -> float:
    """Value of a missing prediction.

    No prediction of an image on this grid gets a worse one: neither where masks overlap badly nor
    where one of them is empty and the policy has a value for it.

    Args:
        metric: Knows which values are worse.
        grid: Grid of the reference.
        settings: Policies, and what else the metric reads.
        value: What an empty prediction got; it is returned where no direction is better.
    """
    if metric.direction is None:
        return value
    found = [value, bound(metric, grid, settings), *_of_empty_masks(metric, grid, settings)]
    known = [item for item in found if not math.isnan(item)]
    if not known:
        return math.nan
    return float(min(known) if metric.direction == "higher" else max(known))


def bound(metric: Metric, grid: Grid, settings: Settings) -> float:
    """What no prediction is worse than; nan where nobody knows."""
    value = metric.low if metric.direction == "higher" else metric.high
    if metric.worst is not None:
        return metric.worst(grid, settings)
    if math.isfinite(value):
        return value
    return grid.diagonal_mm if metric.unit == "mm" else math.nan


def _of_empty_masks(metric: Metric, grid: Grid, settings: Settings) -> Iterator[float]:
    """Values of the policies."""
    empty = np.zeros((2,) * len(grid.shape), dtype=bool)
    voxel = empty.copy()
    voxel.flat[0] = True
    for first, second in ((empty, empty), (empty, voxel), (voxel, empty)):
        if metric.of_masks is not None:
            pair = MaskPair(first, second, grid.spacing_mm, diagonal_mm=grid.diagonal_mm)
            yield float(metric.of_masks(pair, settings))
        elif metric.of_raters is not None:
            yield float(metric.of_raters(RaterCase([first, first], second), settings))
