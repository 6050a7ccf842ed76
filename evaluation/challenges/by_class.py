"""Label maps scored class by class with metrics of the table, as several challenges do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluation.challenges.profile import Labels, Values
from evaluation.measures.masks import MaskPair, pairs
from evaluation.measures.voxel_counts import count_classes
from evaluation.metrics import METRICS
from evaluation.settings import Settings


def score_classes(
    reference: Labels,
    prediction: Labels,
    spacing_mm: Sequence[float],
    members: Mapping[str, tuple[int, ...]],
    metrics: Mapping[str, str],
    settings: Settings,
) -> Values:
    """Values of all classes.

    Args:
        reference: Label map [z, y, x].
        prediction: The same.
        spacing_mm: (z, y, x).
        members: Class → raw values.
        metrics: Name that the challenge gives a metric → its name in the table.
        settings: Of the metrics.
    """
    counts = count_classes(reference, prediction, members)
    values: Values = {name: {} for name in members}
    for cut in pairs(reference, prediction, members, counts, spacing_mm):
        pair = cut.pair()
        values[pair.label] = {
            key: score_pair(name, pair, settings) for key, name in metrics.items()
        }
    return values


def score_pair(name: str, pair: MaskPair, settings: Settings) -> float:
    """Value of a metric of two masks, by its name in the table."""
    compute = METRICS[name].of_masks
    assert compute is not None
    return compute(pair, settings)
