"""Normalisations that only shift and scale by fixed numbers or by the image's range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoseg.schema.plan import IntensityStatistics

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def none(channel: Floats, mask: Mask | None, statistics: IntensityStatistics | None) -> Floats:
    """Leaves the intensities as they are."""
    return channel


def rescale_0_1(
    channel: Floats, mask: Mask | None, statistics: IntensityStatistics | None
) -> Floats:
    """Maps the image's range to 0 … 1."""
    low = channel.min()
    scaled: Floats = (channel - low) / np.float32(max(channel.max() - low, 1e-8))
    return scaled


def rgb_0_1(channel: Floats, mask: Mask | None, statistics: IntensityStatistics | None) -> Floats:
    """Maps 8-bit intensities to 0 … 1."""
    return channel / np.float32(255)
