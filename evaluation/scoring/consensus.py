"""One reference from several raters' label maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from evaluation.files.label_maps import LabelMap
from evaluation.measures.staple import ROUNDING, is_probable, staple
from evaluation.measures.voxel_counts import values_of

Consensus = Literal["majority", "staple"]


def merge(raters: Sequence[LabelMap], how: Consensus, ignore: int | None = None) -> LabelMap:
    """Label map that most raters support.

    Args:
        raters: Label maps on one grid.
        how: majority: the value with the most votes, ties for a structure and not the background;
            staple: the value with the largest STAPLE probability of at least one half. Of values
            with equal support the smallest one.
        ignore: Value of voxels that a rater did not look at: he has no vote there; where nobody
            looked the result has it, too.
    """
    first = raters[0]
    found = {int(value) for rater in raters for value in values_of(rater.labels)}
    values = sorted(found - {0, ignore})
    unknown = None
    if ignore is not None and ignore in found:
        unknown = np.stack([rater.labels == ignore for rater in raters])
    result = np.zeros(first.labels.shape, dtype=_type_of(found))
    if how == "majority":
        best = sum((rater.labels == 0).astype(np.float64) for rater in raters) - 0.5
    else:
        best = np.zeros(first.labels.shape)
    for value in values:
        masks = np.stack([rater.labels == value for rater in raters])
        if how == "majority":
            support = masks.sum(axis=0)
            better = support > best
        else:
            support = staple(masks, unknown=unknown)
            better = is_probable(support) & (support > best + ROUNDING)
        result[better] = value
        best = np.where(better, support, best)
    if unknown is not None:
        result[unknown.all(axis=0)] = ignore
    return LabelMap(
        labels=result,
        spacing_mm=first.spacing_mm,
        origin_mm=first.origin_mm,
        direction=first.direction,
    )


def _type_of(values: set[int]) -> np.dtype[Any]:
    """Smallest type of integers that holds the values of all raters."""
    low, high = min(values, default=0), max(values, default=0)
    return np.min_scalar_type(high) if low >= 0 else np.dtype(np.int64)
