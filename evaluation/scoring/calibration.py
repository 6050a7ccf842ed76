"""Counts how far the probabilities of a case can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError
from evaluation.files.probability_maps import ProbabilityMap
from evaluation.labels import Classes
from evaluation.measures.regions import region_masks
from evaluation.measures.reliability import Calibration, CalibrationCounter, fine_bins
from evaluation.metrics import Chosen
from evaluation.scoring.case import Labels

Mask = npt.NDArray[np.bool_]
LARGEST_TABLE = 1 << 16
"""Up to here a table has an entry for every value."""


def channels_of(classes: Classes, number: int, path: Path) -> tuple[tuple[str | None, ...], bool]:
    """Names of a probability map's channels, and whether they exclude each other.

    Labels: background first and then the classes by value, or without the background. Regions: one
    channel per class, in the order of the table of classes.

    Raises:
        EvaluationError: The number of channels fits neither.
    """
    if classes.has_regions:
        if number != len(classes.members):
            raise EvaluationError(
                f"{path}: has {number} channels; expected {len(classes.members)}, one per region."
            )
        return tuple(classes.members), False
    names = sorted(classes.members, key=lambda name: classes.members[name][0])
    if number not in (len(names), len(names) + 1):
        raise EvaluationError(
            f"{path}: has {number} channels; expected {len(names) + 1} (background and classes) "
            f"or {len(names)} (without background)."
        )
    return (None, *names), True


def with_background(values: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """Adds the background to probabilities that lack it: 1 minus their sum, not below 0."""
    if len(values) == channels:
        return values
    total = values.astype(np.float32).sum(axis=0, keepdims=True)
    return np.concatenate((np.maximum(1 - total, 0), values.astype(np.float32)))


def count_calibration(
    reference: Labels,
    probabilities: ProbabilityMap,
    classes: Classes,
    chosen: Sequence[Chosen],
    executor: Executor | None = None,
) -> tuple[Calibration | None, dict[str, Calibration]]:
    """Counts the calibration of a case in one pass over the slabs of its probabilities.

    Raises:
        EvaluationError: Shapes differ, or the values are no probabilities.
    """
    path = probabilities.path
    probabilities.fit(reference.shape)
    names, exclusive = channels_of(classes, probabilities.shape[0], path)
    regions = tuple(dict.fromkeys(item.settings.region for item in chosen))
    margin = max(item.settings.margin for item in chosen)
    wanted = {item.name.split(":")[0] for item in chosen}
    per_class = {item.name for item in chosen if item.metric.scope == "class"}
    counter = CalibrationCounter(
        names,
        exclusive=exclusive,
        regions=regions,
        bins=fine_bins([item.settings.num_bins for item in chosen]),
        with_classes=bool(per_class) or "ace" in wanted,
        with_mass=any(item.metric.adaptive or item.settings.adaptive for item in chosen),
        with_scores=bool(wanted & {"brier", "classwise_brier", "nll"}),
        executor=executor,
    )
    masks = region_masks(reference, regions, margin, classes.ignore)
    lookup = _channel_lookup(reference, classes, names) if exclusive else None
    for place, slab in probabilities.slabs():
        values = with_background(slab, len(names)) if exclusive else slab
        part = reference[place]
        if lookup is not None:
            target = lookup(part).reshape(-1)
        else:
            target = np.stack(
                [np.isin(part, members).reshape(-1) for members in classes.members.values()]
            )
        counted = None if lookup is not None else _counted(part, classes)
        chosen_masks = {
            name: _both(None if mask is None else mask[place].reshape(-1), counted)
            for name, mask in masks.items()
        }
        try:
            counter.add(values.reshape(len(values), -1), target, chosen_masks)
        except ValueError as error:
            raise EvaluationError(f"{path}: the probabilities {error}.") from None
    return counter.result()


def _counted(part: Labels, classes: Classes) -> Mask | None:
    """Voxels that count; None: all."""
    return None if classes.ignore is None else np.asarray(part != classes.ignore).reshape(-1)


def _both(first: Mask | None, second: Mask | None) -> Mask | None:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _channel_lookup(
    reference: Labels, classes: Classes, names: Sequence[str | None]
) -> Callable[[Labels], npt.NDArray[np.int16]]:
    """Raw values → channels; values that are no class are background, ignored ones -1."""
    channels = {
        classes.members[name][0]: channel for channel, name in enumerate(names) if name is not None
    }
    if classes.ignore is not None:
        channels[classes.ignore] = -1
    low, high = int(reference.min(initial=0)), int(reference.max(initial=0))
    if 0 <= low <= high < LARGEST_TABLE:
        table = np.zeros(high + 1, dtype=np.int16)
        for value, channel in channels.items():
            if 0 <= value <= high:
                table[value] = channel
        return lambda part: table[part]
    values = np.array(sorted(channels), dtype=np.int64)
    of_values = np.array([channels[int(value)] for value in values], dtype=np.int16)

    def look_up(part: Labels) -> npt.NDArray[np.int16]:
        place = np.minimum(np.searchsorted(values, part), len(values) - 1)
        return np.where(values[place] == part, of_values[place], np.int16(0))

    return look_up
