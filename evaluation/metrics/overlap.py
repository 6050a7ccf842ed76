"""Overlap of two masks from their voxel counts."""

from __future__ import annotations

from evaluation.measures.masks import MaskPair
from evaluation.metrics.metric import Metric
from evaluation.settings import Settings


def _share(part: int, whole: int, pair: MaskPair, settings: Settings) -> float:
    """Part / whole; where there is no whole, the policy of empty masks decides."""
    if pair.empty == "both":
        return settings.empty("both", worst=0.0, best=1.0, official=1.0)
    if not whole:
        return settings.empty("one", worst=0.0, best=1.0, official=0.0)
    return part / whole


def _dice(pair: MaskPair, settings: Settings) -> float:
    counts = pair.counts
    return _share(2 * counts.true_positive, counts.reference + counts.predicted, pair, settings)


def _iou(pair: MaskPair, settings: Settings) -> float:
    counts = pair.counts
    union = counts.true_positive + counts.false_positive + counts.false_negative
    return _share(counts.true_positive, union, pair, settings)


def _precision(pair: MaskPair, settings: Settings) -> float:
    return _share(pair.counts.true_positive, pair.counts.predicted, pair, settings)


def _recall(pair: MaskPair, settings: Settings) -> float:
    return _share(pair.counts.true_positive, pair.counts.reference, pair, settings)


def _specificity(pair: MaskPair, settings: Settings) -> float:
    outside = pair.counts.true_negative + pair.counts.false_positive
    return pair.counts.true_negative / outside if outside else float("nan")


BOTH = "both empty: policy (nan); one empty: 0"
UNDEFINED = "both empty: policy (nan); no denominator: policy (0)"

DICE = Metric(
    title="Dice similarity coefficient",
    of_masks=_dice,
    direction="higher",
    empty=BOTH,
    source="Dice 1945; 2|A∩B| / (|A|+|B|)",
)
IOU = Metric(
    title="Intersection over union (Jaccard)",
    of_masks=_iou,
    direction="higher",
    empty=BOTH,
    source="Jaccard 1912",
)
PRECISION = Metric(
    title="Precision (positive predictive value)",
    of_masks=_precision,
    direction="higher",
    empty=UNDEFINED,
    source="TP / (TP+FP)",
)
RECALL = Metric(
    title="Recall (sensitivity)",
    of_masks=_recall,
    direction="higher",
    empty=UNDEFINED,
    source="TP / (TP+FN)",
)
SPECIFICITY = Metric(
    title="Specificity",
    of_masks=_specificity,
    direction="higher",
    empty="class fills the image: nan",
    source="TN / (TN+FP), over the whole image",
)
