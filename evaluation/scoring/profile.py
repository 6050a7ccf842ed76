"""Scores cases as a challenge does, in both modes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.challenges.profile import Labels, Mode, Profile, ProfileCase, Values
from evaluation.errors import EvaluationError
from evaluation.files.image_files import read_image
from evaluation.files.label_maps import LabelMap
from evaluation.files.probability_maps import ProbabilityMap
from evaluation.measures.grid import Grid
from evaluation.measures.reliability import probability_fault
from evaluation.scoring.case import CaseFiles, load_case, load_labels, read_checked
from evaluation.scoring.consensus import Consensus
from evaluation.scoring.worst import worst_value
from evaluation.settings import Settings
from evaluation.summary import Score


@dataclass(frozen=True, kw_only=True)
class ProfileFiles:
    """Images and vessel maps by case."""

    images: Mapping[str, Path] = field(default_factory=dict)
    vessels: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ProfileScores:
    """Values in the mode that was asked for, and those in the other mode where they may differ."""

    values: Values
    others: Values


def score_profile(
    profile: Profile,
    mode: Mode,
    files: CaseFiles,
    method: str,
    reference: LabelMap,
    prediction: npt.NDArray[np.integer] | None,
    raters: Sequence[Labels],
    extra: ProfileFiles,
) -> ProfileScores:
    """Scores one case of one method.

    It is the worst without a prediction, or without the probabilities that its other cases have.

    Raises:
        EvaluationError: The profile needs raters or probabilities that are not there.
    """
    if "raters" in profile.needs and len(raters) < 2:
        raise EvaluationError(
            f"Case '{files.case}': the profile needs several raters, found {len(raters)}. "
            "Give their folders with --raters."
        )
    lacks = method in files.probabilities and files.probabilities[method] is None
    is_missing = prediction is None or ("probabilities" in profile.needs and lacks)
    labels = np.zeros_like(reference.labels) if prediction is None else prediction
    case = ProfileCase(
        reference=reference.labels,
        prediction=labels,
        spacing_mm=reference.spacing_mm,
        raters=tuple(raters),
        probabilities=_probabilities(profile, files, method, labels, is_missing),
        image=_image(extra.images.get(files.case), reference),
        vessels=_vessels(extra.vessels.get(files.case), reference),
    )
    values = profile.score(case, mode)
    others = values
    if profile.defects:
        others = profile.score(case, "exact" if mode == "official" else "official")
    if is_missing:
        grid = Grid(shape=labels.shape, spacing_mm=reference.spacing_mm)
        values, others = (_at_worst(profile, found, grid) for found in (values, others))
    return ProfileScores(values=values, others=others)


def _at_worst(profile: Profile, values: Values, grid: Grid) -> Values:
    return {
        label: {
            name: worst_value(profile.record(name), grid, Settings(), value)
            for name, value in found.items()
        }
        for label, found in values.items()
    }


def _raters(profile: Profile, files: CaseFiles, raters: Mapping[str, LabelMap]) -> Sequence[Labels]:
    """Label maps of the raters, or those that the challenge puts in their place."""
    own: Sequence[Labels] = ()
    if profile.references is not None and files.reference is not None:
        own = profile.references(files.case, files.reference)
    return own or [rater.labels for rater in raters.values()]


def _probabilities(
    profile: Profile,
    files: CaseFiles,
    method: str,
    labels: npt.NDArray[np.integer],
    is_missing: bool,
) -> npt.NDArray[np.floating] | None:
    """[c, z, y, x] of the foreground classes, without the background."""
    if "probabilities" not in profile.needs:
        return None
    number = len(profile.classes.members)
    if is_missing:
        return np.zeros((number, *labels.shape), dtype=np.float32)
    paths = files.probabilities.get(method)
    if paths is None:
        raise EvaluationError(
            f"Case '{files.case}': the profile needs probabilities. Give --probabilities."
        )
    with ProbabilityMap(paths) as found:
        found.fit(labels.shape)
        if found.shape[0] not in (number, number + 1):
            raise EvaluationError(
                f"{found.path}: has {found.shape[0]} channels; expected {number} or, with the "
                f"background first, {number + 1}."
            )
        values = found.whole()
        fault = probability_fault(values, exclusive=False)
        if fault:
            raise EvaluationError(f"{found.path}: the probabilities {fault}.")
    values = values[1:] if len(values) > number else values
    return values.astype(np.float32, copy=False)


def _image(path: Path | None, reference: LabelMap) -> npt.NDArray[np.generic] | None:
    if path is None:
        return None
    array = read_image(path).array
    if array.shape != reference.labels.shape:
        raise EvaluationError(
            f"{path}: shape {array.shape}, the reference has {reference.labels.shape}."
        )
    return np.asarray(array)


def _vessels(path: Path | None, reference: LabelMap) -> npt.NDArray[np.integer] | None:
    return None if path is None else read_checked(path, reference).labels


class ProfileRun:
    """Scores cases as a challenge does."""

    def __init__(
        self,
        name: str,
        profile: Profile,
        mode: Mode,
        files: ProfileFiles,
        consensus: Consensus,
    ) -> None:
        self.name, self.profile, self.mode = name, profile, mode
        self.files, self.consensus = files, consensus
        self.other: dict[tuple[str, str, str, str], float] = {}

    def score(
        self,
        files: CaseFiles,
        executor: Executor | None,  # noqa: ARG002 - as MetricRun has it
        done: Callable[[], Any],
    ) -> list[Score]:
        """Scores of one case."""
        found_raters, reference, first = load_case(files, self.consensus)
        raters = _raters(self.profile, files, found_raters)
        scores = []
        for method, path in files.predictions.items():
            prediction = load_labels(path, first, reference)
            found = score_profile(
                self.profile,
                self.mode,
                files,
                method,
                reference,
                prediction,
                raters,
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
        gaps: dict[str, list[float]] = {}
        labels: dict[str, dict[str, None]] = {}
        for score in (score for part in parts for score in part):
            other = self.other[(score.method, score.case, score.label, score.metric)]
            if math.isnan(score.value) and math.isnan(other):
                continue
            gap = abs(score.value - other)
            if math.isnan(gap) or gap > 1e-6 * max(1.0, abs(other)):
                gaps.setdefault(score.metric, []).append(gap)
                labels.setdefault(score.metric, {})[score.label] = None
        second = "exact" if self.mode == "official" else "official"
        notes = [f"Profile {self.name}, {self.mode}: {self.profile.title}."]
        for metric, found in gaps.items():
            known = [gap for gap in found if not math.isnan(gap)]
            largest = f"by up to {max(known):.3g}" if known else "one of them is undefined"
            notes.append(
                f"{metric} of {', '.join(labels[metric])}: {second} differs from {self.mode} in "
                f"{len(found)} scores, {largest}."
            )
        if gaps:
            notes.append(f"What the official program does otherwise: {self.profile.defects}.")
        return notes
