"""Scores two label maps, class by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from evaluation.files.label_maps import LabelMap
from evaluation.labels import Classes
from evaluation.measures.grid import Grid
from evaluation.measures.masks import pairs
from evaluation.measures.voxel_counts import JointHistogram, joint_histogram
from evaluation.metrics import Chosen
from evaluation.scoring.case import Labels
from evaluation.scoring.worst import worst_value


def score_masks(
    reference: LabelMap,
    prediction: Labels | None,
    classes: Classes,
    chosen: Sequence[Chosen],
    executor: Executor | None = None,
    done: Callable[[], Any] = lambda: None,
    seen: Callable[[JointHistogram], Any] = lambda _: None,
) -> dict[str, dict[str, float]]:
    """Scores label maps, class by class.

    Args:
        reference: The reference.
        prediction: Label map; None: there is none, which is scored as the worst prediction.
        classes: What to score.
        chosen: Metrics of label maps.
        executor: Runs the classes.
        done: Called after each class.
        seen: Called with the labels of a reference and its prediction.

    Raises:
        EvaluationError: A label map holds far too many values.
    """
    labels = reference.labels
    grid = Grid(shape=labels.shape, spacing_mm=reference.spacing_mm)
    predicted = np.zeros_like(labels) if prediction is None else prediction
    histogram = joint_histogram(labels, predicted)
    if prediction is not None:
        seen(histogram)
    counts = histogram.count_classes(classes.members, ignore=classes.ignore)
    cuts = pairs(labels, predicted, classes.members, counts, reference.spacing_mm, classes.ignore)

    def score(cut: Any) -> tuple[str, dict[str, float]]:
        pair, values = cut.pair(), {}
        for item in chosen:
            assert item.metric.of_masks is not None
            value = item.metric.of_masks(pair, item.settings)
            if prediction is None:
                value = worst_value(item.metric, grid, item.settings, value)
            values[item.name] = float(value)
        done()
        return pair.label, values

    results = dict(executor.map(score, cuts) if executor is not None else map(score, cuts))
    return {name: results[name] for name in classes.members}
