"""Scores the cases of an evaluation: with metrics of the table, or as a challenge does."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from evaluation.case import (
    CaseFiles,
    check_grid,
    count_calibration,
    read_checked,
    read_soft,
    score_masks,
    score_raters,
    worst_of,
)
from evaluation.challenges import Mode, find_profile
from evaluation.consensus import Consensus, merge
from evaluation.errors import EvaluationError
from evaluation.files.label_maps import LabelMap, read_label_map
from evaluation.files.probability_maps import ProbabilityMap
from evaluation.labels import ALL_CLASSES, Classes
from evaluation.measures.reliability import Calibration
from evaluation.metrics import Chosen
from evaluation.profile_case import ProfileFiles, score_profile
from evaluation.settings import Settings
from evaluation.summary import Score


class MetricRun:
    """Scores cases with metrics of the table."""

    def __init__(self, classes: Classes, chosen: Sequence[Chosen], consensus: Consensus) -> None:
        self.classes, self.consensus = classes, consensus
        self.of_masks = [item for item in chosen if item.metric.of_masks]
        self.of_probabilities = [item for item in chosen if item.metric.of_probabilities]
        self.of_raters = [item for item in chosen if item.metric.of_raters]
        self._pooled: dict[tuple[str, str], Calibration] = {}
        self._lock = threading.Lock()

    def score(
        self, files: CaseFiles, executor: Executor | None, done: Callable[[], Any]
    ) -> list[Score]:
        """Scores of one case; classes may run in an executor."""
        raters, reference, first = _load(files, self.consensus)
        scores: list[Score] = []
        for method, path in files.predictions.items():
            prediction = _labels(path, first, reference)
            values: dict[str, dict[str, float]] = {name: {} for name in self.classes.members}
            if self.of_masks:
                parts = score_masks(
                    reference, prediction, self.classes, self.of_masks, executor, done
                )
                _merge(values, parts)
            if self.of_probabilities:
                _merge(values, self._calibrate(files, method, reference, executor))
            if self.of_raters:
                _merge(values, self._against_raters(files, method, raters, prediction))
            scores += [
                Score(case=files.case, label=label, metric=metric, value=value, method=method)
                for label, found in values.items()
                for metric, value in found.items()
            ]
        return scores

    def _calibrate(
        self, files: CaseFiles, method: str, reference: LabelMap, executor: Executor | None
    ) -> dict[str, dict[str, float]]:
        paths = files.probabilities.get(method)
        if paths is None:
            return {
                label: {
                    item.name: worst_of(item)
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
        prediction: Any,
    ) -> dict[str, dict[str, float]]:
        if not raters:
            return {}
        first = next(iter(raters.values()))
        soft = None
        if method in files.probabilities:
            with ProbabilityMap(files.probabilities[method]) as probabilities:
                soft = read_soft(probabilities, self.classes, first.labels.shape)
        if prediction is None:
            prediction = np.zeros_like(first.labels)
        return score_raters(raters, prediction, soft, self.classes, self.of_raters)

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


class ProfileRun:
    """Scores cases as a challenge does."""

    def __init__(
        self,
        name: str,
        mode: Mode,
        classes: Classes,
        files: ProfileFiles,
        consensus: Consensus,
    ) -> None:
        self.name, self.mode, self.classes = name, mode, classes
        self.files, self.consensus = files, consensus
        self.other: dict[tuple[str, str, str, str], float] = {}

    def score(
        self,
        files: CaseFiles,
        executor: Executor | None,  # noqa: ARG002 - as MetricRun has it
        done: Callable[[], Any],
    ) -> list[Score]:
        """Scores of one case."""
        profile = find_profile(self.name)
        raters, reference, first = _load(files, self.consensus)
        scores = []
        for method, path in files.predictions.items():
            prediction = _labels(path, first, reference)
            found = score_profile(
                profile,
                self.mode,
                files,
                method,
                reference,
                prediction,
                list(raters.values()),
                self.files,
            )
            for label, values in found.values.items():
                for metric, value in values.items():
                    scores.append(
                        Score(
                            case=files.case, label=label, metric=metric, value=value, method=method
                        )
                    )
                    other = found.others.get(label, {}).get(metric, value)
                    self.other[(method, files.case, label, metric)] = other
            done()
        return scores

    def notes(self, parts: Iterable[list[Score]]) -> list[str]:
        """Says where the official program's defects change the values of these data."""
        gaps: dict[tuple[str, str], list[float]] = {}
        for part in parts:
            for score in part:
                other = self.other[(score.method, score.case, score.label, score.metric)]
                if math.isnan(score.value) and math.isnan(other):
                    continue
                gap = abs(score.value - other)
                if math.isnan(gap) or gap > 1e-6 * max(1.0, abs(other)):
                    gaps.setdefault((score.metric, score.label), []).append(gap)
        profile = find_profile(self.name)
        second = "exact" if self.mode == "official" else "official"
        notes = [f"Profile {self.name}, {self.mode}: {profile.title}."]
        for (metric, label), found in gaps.items():
            known = [gap for gap in found if not math.isnan(gap)]
            largest = f"by up to {max(known):.3g}" if known else "one of them is undefined"
            notes.append(
                f"{metric} of {label}: {second} differs from {self.mode} in {len(found)} scores, "
                f"{largest} ({profile.defects})."
            )
        return notes


def run_cases(
    cases: Sequence[CaseFiles],
    steps: int,
    workers: int,
    score: Callable[[CaseFiles, Executor | None, Callable[[], Any]], list[Score]],
) -> list[list[Score]]:
    """Scores the cases, some at a time; with fewer cases than threads their classes are shared."""
    faults: list[str] = []
    total = len(cases) * steps
    with (
        tqdm(total=total, desc="Evaluating", unit="class", disable=None) as bar,
        ThreadPoolExecutor(max(1, workers)) as classes,
        ThreadPoolExecutor(max(1, workers)) as pool,
    ):
        inner = classes if len(cases) < workers else None

        def work(files: CaseFiles) -> list[Score]:
            try:
                return score(files, inner, bar.update)
            except EvaluationError as error:
                faults.append(str(error))
                return []

        parts = list(pool.map(work, cases))
    if faults:
        raise EvaluationError("\n".join(sorted(faults)))
    return parts


def _load(
    files: CaseFiles, consensus: Consensus
) -> tuple[dict[str, LabelMap], LabelMap, dict[Path, LabelMap]]:
    """Raters, reference, and the first prediction, which is read at the same time."""
    first = next((path for path in files.predictions.values() if path is not None), None)
    with ThreadPoolExecutor(1) as executor:
        early = None if first is None else executor.submit(read_label_map, first)
        reference = None if files.reference is None else read_label_map(files.reference)
        raters: dict[str, LabelMap] = {}
        for name, path in files.raters.items():
            known = reference or next(iter(raters.values()), None)
            raters[name] = read_checked(path, known)
        if reference is None:
            reference = merge(list(raters.values()), consensus)
        read = {} if early is None or first is None else {first: early.result()}
    return raters, reference, read


def _labels(
    path: Path | None, read: dict[Path, LabelMap], reference: LabelMap
) -> npt.NDArray[np.integer] | None:
    """Labels of a prediction, which are read once and lie on the reference's grid."""
    if path is None:
        return None
    found = read.pop(path, None) or read_label_map(path)
    check_grid(found, reference, path)
    return found.labels


def _merge(values: dict[str, dict[str, float]], parts: Mapping[str, dict[str, float]]) -> None:
    for label, found in parts.items():
        values.setdefault(label, {}).update(found)
