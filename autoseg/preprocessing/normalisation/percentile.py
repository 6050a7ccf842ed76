"""Rescaling between percentiles of the image, which bright or dark outliers do not change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoseg.schema.plan import IntensityStatistics

LOW, HIGH = 0.5, 99.5


def percentile(
    channel: npt.NDArray[np.float32],
    nonzero_mask: npt.NDArray[np.bool_] | None,
    statistics: IntensityStatistics | None,
) -> npt.NDArray[np.float32]:
    """Clips to the 0.5 and 99.5 percentile of the image and maps them to 0 and 1."""
    low, high = np.percentile(channel, (LOW, HIGH)).astype(np.float32)
    scaled: npt.NDArray[np.float32] = (np.clip(channel, low, high) - low) / np.float32(
        max(high - low, 1e-8)
    )
    return scaled
