"""Volumes in millilitres."""

from __future__ import annotations

import math

from evaluation.measures.masks import MaskPair
from evaluation.metrics.metric import Metric
from evaluation.settings import Settings


def _difference(pair: MaskPair) -> float:
    return (pair.counts.predicted - pair.counts.reference) * pair.voxel_ml


def _absolute(pair: MaskPair, settings: Settings) -> float:
    # As ISLES'22 has it: two volumes are subtracted, which rounds otherwise than one product.
    return abs(pair.counts.reference * pair.voxel_ml - pair.counts.predicted * pair.voxel_ml)


def _relative(pair: MaskPair, settings: Settings) -> float:
    if pair.empty == "both":
        return settings.empty("both", worst=math.inf, best=0.0, official=math.nan)
    if not pair.counts.reference:
        return math.nan
    return (pair.counts.predicted - pair.counts.reference) / pair.counts.reference


REFERENCE_VOLUME = Metric(
    title="Volume of the reference",
    of_masks=lambda pair, _: pair.counts.reference * pair.voxel_ml,
    direction=None,
    unit="ml",
    high=math.inf,
    empty="0",
    source="voxels × voxel volume",
)
PREDICTED_VOLUME = Metric(
    title="Volume of the prediction",
    of_masks=lambda pair, _: pair.counts.predicted * pair.voxel_ml,
    direction=None,
    unit="ml",
    high=math.inf,
    empty="0",
    source="voxels × voxel volume",
)
VOLUME_DIFFERENCE = Metric(
    title="Volume difference (prediction − reference)",
    of_masks=lambda pair, _: _difference(pair),
    direction=None,
    unit="ml",
    low=-math.inf,
    high=math.inf,
    empty="0 where both are empty",
    source="signed; its mean is the bias",
)
ABSOLUTE_VOLUME_DIFFERENCE = Metric(
    title="Absolute volume difference",
    of_masks=_absolute,
    direction="lower",
    unit="ml",
    high=math.inf,
    empty="0 where both are empty",
    worst=lambda grid, _: grid.volume_ml,
    source="ISLES'22",
)
RELATIVE_VOLUME_DIFFERENCE = Metric(
    title="Relative volume difference",
    of_masks=_relative,
    direction=None,
    low=-1.0,
    high=math.inf,
    empty="both empty: policy (nan); reference empty: nan",
    source="(prediction − reference) / reference",
)
