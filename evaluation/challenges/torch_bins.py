"""Calibration error in the arithmetic of torchmetrics, bug for bug, without torch."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
SATURATED = 1 << 24
"""A float32 counter that adds ones stops growing here."""


def edges(num_bins: int) -> Floats:
    """Bin edges as torch.linspace(0, 1, num_bins + 1) rounds them: from both ends to the middle."""
    step = float(np.float32(1) / np.float32(num_bins))
    index = np.arange(num_bins + 1)
    # Product and difference are rounded once, together.
    low, high = index * step, 1 - (num_bins - index) * step
    return np.where(index < (num_bins + 1) // 2, low, high).astype(np.float32)


def official_error(
    channels: npt.NDArray[np.floating], target: npt.NDArray[np.integer], num_bins: int = 50
) -> float:
    """Top-label calibration error with 32-bit counters, which saturate at 2^24 voxels per bin.

    Args:
        channels: [c, n] with the background. If a single value lies outside 0 … 1, all of them are
            taken for logits.
        target: [n].
        num_bins: Bins; confidence 1 falls into one of its own behind the last.

    Returns:
        The error; nan without voxels.
    """
    if not target.size:
        return math.nan
    confidence, right = _top(channels.astype(np.float32, copy=False), target)
    place = np.searchsorted(edges(num_bins), confidence, side="right") - 1
    counts = np.minimum(np.bincount(place, minlength=num_bins + 1), SATURATED)
    hits = np.minimum(np.bincount(place[right], minlength=num_bins + 1), SATURATED)
    sums = np.zeros(num_bins + 1, dtype=np.float32)
    np.add.at(sums, place, confidence)
    held = counts > 0
    count32 = counts[held].astype(np.float32)
    accuracy = hits[held].astype(np.float32) / count32
    mean = sums[held] / count32
    share = count32 / counts.astype(np.float32).sum(dtype=np.float32)
    return float((np.abs(accuracy - mean) * share).sum(dtype=np.float32))


def exact_error(
    channels: npt.NDArray[np.floating], target: npt.NDArray[np.integer], num_bins: int = 50
) -> float:
    """The same error with exact counters; values are cut to 0 … 1 and never taken for logits."""
    if not target.size:
        return math.nan
    values = np.clip(channels.astype(np.float64), 0, 1)
    confidence, right = values.max(axis=0), values.argmax(axis=0) == target
    place = np.minimum((confidence * num_bins).astype(np.intp), num_bins - 1)
    counts = np.bincount(place, minlength=num_bins)
    held = counts > 0
    mean = np.bincount(place, confidence, num_bins)[held] / counts[held]
    accuracy = np.bincount(place, right, num_bins)[held] / counts[held]
    return float((np.abs(accuracy - mean) * counts[held]).sum() / target.size)


def takes_softmax(channels: npt.NDArray[np.floating]) -> bool:
    """Whether the official program takes the values for logits."""
    return bool(channels.size and (channels.min() < 0 or channels.max() > 1))


def _top(channels: Floats, target: npt.NDArray[np.integer]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    if takes_softmax(channels):
        powers = np.exp(channels - channels.max(axis=0))
        channels = powers / powers.sum(axis=0, dtype=np.float32)
    return channels.max(axis=0), channels.argmax(axis=0) == target
