"""Table of metrics: one line each, with direction, unit, range, empty-mask policy and source."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from evaluation.errors import EvaluationError
from evaluation.metrics import calibration, lesion, overlap, raters, surface, volume
from evaluation.metrics.metric import Metric
from evaluation.settings import Settings, apply_variants

METRICS: dict[str, Metric] = {
    "dice": overlap.DICE,
    "iou": overlap.IOU,
    "precision": overlap.PRECISION,
    "recall": overlap.RECALL,
    "specificity": overlap.SPECIFICITY,
    "reference_volume": volume.REFERENCE_VOLUME,
    "predicted_volume": volume.PREDICTED_VOLUME,
    "volume_difference": volume.VOLUME_DIFFERENCE,
    "absolute_volume_difference": volume.ABSOLUTE_VOLUME_DIFFERENCE,
    "relative_volume_difference": volume.RELATIVE_VOLUME_DIFFERENCE,
    "hd": surface.HD,
    "hd95": surface.HD95,
    "asd": surface.ASD,
    "assd": surface.ASSD,
    "masd": surface.MASD,
    "nsd": surface.NSD,
    "lesion_f1": lesion.LESION_F1,
    "lesion_recall": lesion.LESION_RECALL,
    "lesion_precision": lesion.LESION_PRECISION,
    "lesion_count": lesion.LESION_COUNT,
    "predicted_lesion_count": lesion.PREDICTED_LESION_COUNT,
    "lesion_count_difference": lesion.LESION_COUNT_DIFFERENCE,
    "lesion_dice": lesion.LESION_DICE,
    "panoptic_quality": lesion.PANOPTIC_QUALITY,
    "recognition_quality": lesion.RECOGNITION_QUALITY,
    "segmentation_quality": lesion.SEGMENTATION_QUALITY,
    "ece": calibration.ECE,
    "classwise_ece": calibration.CLASSWISE_ECE,
    "ace": calibration.ACE,
    "mce": calibration.MCE,
    "brier": calibration.BRIER,
    "classwise_brier": calibration.CLASSWISE_BRIER,
    "nll": calibration.NLL,
    "dice_per_rater": raters.DICE_PER_RATER,
    "dice_majority": raters.DICE_MAJORITY,
    "dice_staple": raters.DICE_STAPLE,
    "dice_consensus": raters.DICE_CONSENSUS,
    "soft_dice": raters.SOFT_DICE,
    "ged": raters.GED,
    "rater_agreement": raters.RATER_AGREEMENT,
    "fleiss_kappa": raters.FLEISS_KAPPA,
    "crps": raters.CRPS,
    "volume_interval_low": raters.VOLUME_LOW,
    "volume_interval_high": raters.VOLUME_HIGH,
    "volume_coverage": raters.VOLUME_COVERAGE,
    "consensus_confidence": raters.CONSENSUS_CONFIDENCE,
    "background_confidence": raters.BACKGROUND_CONFIDENCE,
    "dissensus_confidence": raters.DISSENSUS_CONFIDENCE,
}

OVERLAP = (
    "dice",
    "precision",
    "recall",
    "reference_volume",
    "predicted_volume",
    "volume_difference",
)
DEFAULT = ("dice", "hd95", "nsd", *OVERLAP[1:])
"""What is computed of label maps where nobody asks for something else."""
ALIASES = {
    "surface_dice": "nsd",
    "jaccard": "iou",
    "sensitivity": "recall",
    "pq": "panoptic_quality",
}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A metric with its settings.

    Attributes:
        name: As it was asked for, such as hd95:medpy.
        metric: Its record.
        settings: Its settings.
    """

    name: str
    metric: Metric
    settings: Settings


def choose(names: Iterable[str], settings: Settings) -> tuple[Chosen, ...]:
    """Looks metrics up by name, `name` or `name:variant:variant`.

    Raises:
        EvaluationError: A name or variant is unknown.
    """
    result = []
    for text in dict.fromkeys(names):
        name, *variants = text.split(":")
        name = ALIASES.get(name, name)
        if name not in METRICS:
            raise EvaluationError(f"Metric '{name}' is unknown; known are {', '.join(METRICS)}.")
        metric = METRICS[name]
        try:
            chosen = apply_variants(settings, variants, metric.accepts)
        except EvaluationError as error:
            raise EvaluationError(f"Metric '{text}': {error}") from None
        result.append(Chosen(name=":".join((name, *variants)), metric=metric, settings=chosen))
    return tuple(result)


def strata(names: Iterable[str], edges_ml: Iterable[float]) -> tuple[str, ...]:
    """Adds to each lesion metric its values by lesion size.

    Args:
        names: Names of metrics.
        edges_ml: Volumes in ml that part the sizes.

    Raises:
        EvaluationError: The edges do not ascend.
    """
    edges = list(edges_ml)
    if edges != sorted(set(edges)) or min(edges, default=1) <= 0:
        raise EvaluationError(f"Lesion sizes {edges}: expected ascending volumes in ml above 0.")
    ends = ["", *(f"{edge:g}" for edge in edges), ""]
    result = []
    for name in names:
        result.append(name)
        known = METRICS.get(name.split(":")[0])
        if edges and known is not None and "lesion_ml" in known.accepts:
            result += [f"{name}:{low}-{high}ml" for low, high in itertools.pairwise(ends)]
    return tuple(result)


def find(name: str) -> Metric:
    """Record of a name with or without variants."""
    return METRICS[name.split(":", maxsplit=1)[0]]


__all__ = [
    "ALIASES",
    "DEFAULT",
    "METRICS",
    "OVERLAP",
    "Chosen",
    "Metric",
    "choose",
    "find",
    "strata",
]
