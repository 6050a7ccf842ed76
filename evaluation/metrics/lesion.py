"""Lesions: connected components that were found, missed and invented."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evaluation.measures.lesions import Lesions
from evaluation.measures.masks import MaskPair
from evaluation.metrics.metric import Metric
from evaluation.settings import Settings


@dataclass(frozen=True)
class _Found:
    """Lesions of a volume stratum: found and missed ones, right and wrong predictions."""

    found: int
    missed: int
    right: int
    wrong: int


def _count(pair: MaskPair, settings: Settings) -> _Found:
    lesions = pair.lesions(settings.connectivity)
    if settings.lesion_iou is None:
        hit_reference, hit_prediction = lesions.pairs[:, 0], lesions.pairs[:, 1]
    else:
        matched = lesions.pairs[lesions.match(settings.lesion_iou)]
        hit_reference, hit_prediction = matched[:, 0], matched[:, 1]
    low, high = settings.lesion_ml

    def split(voxels: np.ndarray, hit: np.ndarray) -> tuple[int, int]:
        volumes = voxels * pair.voxel_ml
        chosen = (volumes >= low) & (volumes < high)
        is_hit = np.zeros(len(voxels), dtype=bool)
        is_hit[hit] = True
        return int((chosen & is_hit).sum()), int((chosen & ~is_hit).sum())

    return _Found(
        *split(lesions.reference_voxels, hit_reference),
        *split(lesions.prediction_voxels, hit_prediction),
    )


def _ratio(part: float, whole: float, none: bool, settings: Settings) -> float:
    if none:
        return settings.empty("both", worst=0.0, best=1.0, official=1.0)
    if not whole:
        return settings.empty("one", worst=0.0, best=1.0, official=0.0)
    return part / whole


def _f1(pair: MaskPair, settings: Settings) -> float:
    # A prediction over three lesions finds three: only the reference's lesions count as found.
    item = _count(pair, settings)
    whole = item.found + (item.wrong + item.missed) / 2
    return _ratio(item.found, whole, not whole, settings)


def _recall(pair: MaskPair, settings: Settings) -> float:
    item = _count(pair, settings)
    none = not (item.found or item.missed or item.right or item.wrong)
    return _ratio(item.found, item.found + item.missed, none, settings)


def _precision(pair: MaskPair, settings: Settings) -> float:
    item = _count(pair, settings)
    none = not (item.found or item.missed or item.right or item.wrong)
    return _ratio(item.right, item.right + item.wrong, none, settings)


def _number(lesions: Lesions, pair: MaskPair, settings: Settings) -> tuple[int, int]:
    low, high = settings.lesion_ml
    sizes = (lesions.reference_voxels * pair.voxel_ml, lesions.prediction_voxels * pair.voxel_ml)
    first, second = (int(((size >= low) & (size < high)).sum()) for size in sizes)
    return first, second


def _difference(pair: MaskPair, settings: Settings) -> float:
    first, second = _number(pair.lesions(settings.connectivity), pair, settings)
    return float(abs(first - second))


def _lesion_dice(pair: MaskPair, settings: Settings) -> float:
    """Mean over the reference's lesions of Dice with all predictions that touch them."""
    lesions = pair.lesions(settings.connectivity)
    volumes = lesions.reference_voxels * pair.voxel_ml
    chosen = np.flatnonzero((volumes >= settings.lesion_ml[0]) & (volumes < settings.lesion_ml[1]))
    if not len(chosen):
        if pair.empty == "both" or not len(lesions.prediction_voxels):
            return settings.empty("both", worst=0.0, best=1.0, official=1.0)
        return settings.empty("one", worst=0.0, best=1.0, official=0.0)
    common = np.zeros(len(volumes))
    np.add.at(common, lesions.pairs[:, 0], lesions.overlaps)
    touching = np.zeros(len(volumes))
    np.add.at(touching, lesions.pairs[:, 0], lesions.prediction_voxels[lesions.pairs[:, 1]])
    values = 2 * common / (lesions.reference_voxels + touching)
    return float(values[chosen].mean())


def _panoptic(pair: MaskPair, settings: Settings) -> tuple[float, float, float]:
    """Recognition quality, segmentation quality and their product."""
    lesions = pair.lesions(settings.connectivity)
    threshold = 0.5 if settings.lesion_iou is None else settings.lesion_iou
    iou = lesions.iou()
    strict = settings.lesion_iou is None
    rows = np.flatnonzero(iou > threshold) if strict else lesions.match(threshold)
    num_first, num_second = len(lesions.reference_voxels), len(lesions.prediction_voxels)
    if not num_first + num_second:
        value = settings.empty("both", worst=0.0, best=1.0, official=math.nan)
        return value, value, value
    recognition = 2 * len(rows) / (num_first + num_second)
    quality = float(iou[rows].mean()) if len(rows) else 0.0
    return recognition, quality, recognition * quality


EMPTY = "no lesion in either: policy (nan); no denominator: policy (0)"
ACCEPTS = ("connectivity", "lesion_iou", "lesion_ml")

LESION_F1 = Metric(
    title="Lesion-wise F1",
    of_masks=_f1,
    direction="higher",
    empty=EMPTY,
    accepts=ACCEPTS,
    source="ISLES'22: TP / (TP + (FP+FN)/2); one common voxel is enough",
)
LESION_RECALL = Metric(
    title="Lesion-wise recall",
    of_masks=_recall,
    direction="higher",
    empty=EMPTY,
    accepts=ACCEPTS,
    source="share of the reference's lesions that were found",
)
LESION_PRECISION = Metric(
    title="Lesion-wise precision",
    of_masks=_precision,
    direction="higher",
    empty=EMPTY,
    accepts=ACCEPTS,
    source="share of the predicted lesions that touch (match) a real one",
)
LESION_COUNT = Metric(
    title="Lesions in the reference",
    of_masks=lambda pair, settings: float(
        _number(pair.lesions(settings.connectivity), pair, settings)[0]
    ),
    direction=None,
    high=math.inf,
    empty="0",
    accepts=("connectivity", "lesion_ml"),
    source="connected components",
)
PREDICTED_LESION_COUNT = Metric(
    title="Lesions in the prediction",
    of_masks=lambda pair, settings: float(
        _number(pair.lesions(settings.connectivity), pair, settings)[1]
    ),
    direction=None,
    high=math.inf,
    empty="0",
    accepts=("connectivity", "lesion_ml"),
    source="connected components",
)
LESION_COUNT_DIFFERENCE = Metric(
    title="Absolute lesion count difference",
    of_masks=_difference,
    direction="lower",
    high=math.inf,
    empty="0",
    accepts=("connectivity", "lesion_ml"),
    worst=lambda grid, settings: float(grid.most_components(settings.connectivity)),
    source="ISLES'22",
)
LESION_DICE = Metric(
    title="Mean Dice per lesion",
    of_masks=_lesion_dice,
    direction="higher",
    empty="no lesion in either: policy (nan); only predicted ones: policy (0)",
    accepts=("connectivity", "lesion_ml"),
    source="each reference lesion against all predicted ones that touch it; missed: 0",
)
PANOPTIC_QUALITY = Metric(
    title="Panoptic quality of lesions",
    of_masks=lambda pair, settings: _panoptic(pair, settings)[2],
    direction="higher",
    empty="no lesion in either: policy (nan)",
    accepts=("connectivity", "lesion_iou"),
    source="Kirillov et al. 2019: recognition × segmentation quality at IoU > 0.5",
)
RECOGNITION_QUALITY = Metric(
    title="Recognition quality of lesions",
    of_masks=lambda pair, settings: _panoptic(pair, settings)[0],
    direction="higher",
    empty="no lesion in either: policy (nan)",
    accepts=("connectivity", "lesion_iou"),
    source="Kirillov et al. 2019",
)
SEGMENTATION_QUALITY = Metric(
    title="Segmentation quality of matched lesions",
    of_masks=lambda pair, settings: _panoptic(pair, settings)[1],
    direction="higher",
    empty="no lesion in either: policy (nan); no match: 0",
    accepts=("connectivity", "lesion_iou"),
    source="Kirillov et al. 2019",
)
