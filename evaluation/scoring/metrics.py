"""Scores cases with metrics of the table."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError
from evaluation.files.label_maps import LabelMap
from evaluation.files.probability_maps import ProbabilityMap
from evaluation.labels import ALL_CLASSES, Classes
from evaluation.measures.grid import Grid
from evaluation.measures.reliability import Calibration
from evaluation.measures.voxel_counts import JointHistogram, values_of
from evaluation.metrics import Chosen
from evaluation.scoring.calibration import count_calibration
from evaluation.scoring.case import CaseFiles, load_case, load_labels
from evaluation.scoring.consensus import Consensus
from evaluation.scoring.masks import score_masks
from evaluation.scoring.raters import read_soft, score_raters
from evaluation.scoring.unknown import UnknownValues
from evaluation.scoring.worst import worst_value
from evaluation.settings import Settings
from evaluation.summary import Score


class MetricRun:
    """Scores cases with metrics of the table.

    Args:
        classes: What is scored.
        chosen: The metrics.
        consensus: How references are made of raters.
    """

    def __init__(self, classes: Classes, chosen: Sequence[Chosen], consensus: Consensus) -> None:
        self.classes, self.consensus = classes, consensus
        self.of_masks = [item for item in chosen if item.metric.of_masks]
        self.of_probabilities = [item for item in chosen if item.metric.of_probabilities]
        self.of_raters = [item for item in chosen if item.metric.of_raters]
        self._pooled: dict[tuple[str, str], Calibration] = {}
        self._unknown = UnknownValues(classes)
        self._lock = threading.Lock()

    def score(
        self, files: CaseFiles, executor: Executor | None, done: Callable[[], Any]
    ) -> list[Score]:
        """Scores of one case; classes may run in an executor."""
        raters, reference, first = load_case(files, self.consensus, self.classes.ignore)
        scores: list[Score] = []
        for method, path in files.predictions.items():
            prediction = load_labels(path, first, reference)
            values: dict[str, dict[str, float]] = {name: {} for name in self.classes.members}
            if self.of_masks:
                _merge(values, self._of_masks(files.case, reference, prediction, executor, done))
            elif prediction is not None:
                found = values_of(prediction).tolist()
                self._unknown.add(files.case, values_of(reference.labels).tolist(), found)
            if self.of_probabilities:
                _merge(values, self._calibrate(files, method, reference, executor))
            if self.of_raters:
                _merge(values, self._against_raters(files, method, raters, reference, prediction))
            scores += [
                Score(case=files.case, label=label, metric=metric, value=value, method=method)
                for label, found in values.items()
                for metric, value in found.items()
            ]
        return scores

    def _of_masks(
        self,
        case: str,
        reference: LabelMap,
        prediction: npt.NDArray[np.integer] | None,
        executor: Executor | None,
        done: Callable[[], Any],
    ) -> dict[str, dict[str, float]]:
        def seen(histogram: JointHistogram) -> None:
            self._unknown.add(case, histogram.in_reference, histogram.in_prediction)

        try:
            return score_masks(
                reference, prediction, self.classes, self.of_masks, executor, done, seen
            )
        except EvaluationError as error:
            raise EvaluationError(f"Case '{case}': {error}") from None

    def notes(self) -> list[str]:
        """What a reader should know about the label maps."""
        return self._unknown.notes()

    def _calibrate(
        self, files: CaseFiles, method: str, reference: LabelMap, executor: Executor | None
    ) -> dict[str, dict[str, float]]:
        paths = files.probabilities.get(method)
        if paths is None:
            grid = Grid(shape=reference.labels.shape, spacing_mm=reference.spacing_mm)
            return {
                label: {
                    item.name: worst_value(item.metric, grid, item.settings)
                    for item in self.of_probabilities
                    if (item.metric.scope == "all") == (label == ALL_CLASSES)
                }
                for label in (*self.classes.members, ALL_CLASSES)
            }
        with ProbabilityMap(paths) as probabilities:
            together, each = count_calibration(
                reference.labels, probabilities, self.classes, self.of_probabilities, executor
            )
        named = dict(each)
        if together is not None:
            named[ALL_CLASSES] = together
        values = self._calibration_values(named)
        with self._lock:
            for label, item in named.items():
                key = (method, label)
                if key in self._pooled:
                    self._pooled[key].add(item)
                else:
                    self._pooled[key] = item
        return values

    def _calibration_values(self, named: Mapping[str, Calibration]) -> dict[str, dict[str, float]]:
        return {
            label: {
                item.name: item.metric.of_probabilities(found, item.settings)
                for item in self.of_probabilities
                if item.metric.of_probabilities is not None
                and (item.metric.scope == "all") == (label == ALL_CLASSES)
            }
            for label, found in named.items()
        }

    def _against_raters(
        self,
        files: CaseFiles,
        method: str,
        raters: Mapping[str, LabelMap],
        reference: LabelMap,
        prediction: Any,
    ) -> dict[str, dict[str, float]]:
        if not raters:
            return {}
        soft = None
        paths = files.probabilities.get(method)
        if paths is not None:
            with ProbabilityMap(paths) as probabilities:
                soft = read_soft(probabilities, self.classes, reference.labels.shape)
        return score_raters(
            raters,
            reference,
            prediction,
            soft,
            self.classes,
            self.of_raters,
            lacks_probabilities=method in files.probabilities and soft is None,
        )

    def reliability(self, settings: Settings) -> dict[tuple[str, str], Any]:
        """Reliability diagrams over all cases."""
        result = {}
        for key in sorted(self._pooled):
            region = next(iter(self._pooled[key].regions))
            chosen = settings
            if settings.region not in self._pooled[key].regions:
                chosen = replace(settings, region=region)
            result[key] = self._pooled[key].reliability(chosen)
        return result


def _merge(values: dict[str, dict[str, float]], parts: Mapping[str, dict[str, float]]) -> None:
    for label, found in parts.items():
        values.setdefault(label, {}).update(found)
