"""One reference from several raters' label maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from evaluation.files.label_maps import LabelMap
from evaluation.measures.staple import staple

Consensus = Literal["majority", "staple"]


def merge(raters: Sequence[LabelMap], how: Consensus) -> LabelMap:
    """Label map that most raters support.

    Args:
        raters: Label maps on one grid.
        how: majority: the value with the most votes, ties for a structure and not the background;
            staple: the value with the largest STAPLE probability of at least one half.
    """
    first = raters[0]
    values = sorted({int(value) for rater in raters for value in np.unique(rater.labels)} - {0})
    best = np.zeros(first.labels.shape, dtype=np.float64)
    result = np.zeros(first.labels.shape, dtype=first.labels.dtype)
    if how == "majority":
        best = sum((rater.labels == 0).astype(np.float64) for rater in raters) - 0.5
    else:
        best += 0.5 - 1e-12
    for value in values:
        masks = np.stack([rater.labels == value for rater in raters])
        support = masks.sum(axis=0) if how == "majority" else staple(masks)
        better = support > best
        result[better] = value
        best = np.where(better, support, best)
    return LabelMap(
        labels=result,
        spacing_mm=first.spacing_mm,
        origin_mm=first.origin_mm,
        direction=first.direction,
    )
