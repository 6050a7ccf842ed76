"""Whether an image looks like those that a model has learnt from, by spacing and intensities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoseg.schema.geometry import Geometry
from autoseg.schema.plan import Configuration

FACTOR = 8.0
"""Spacings that are so many times finer or coarser than the plan's are hardly millimetres."""
NARROW = 0.02
"""Share of the training intensities' range below which an image's range is another unit."""


def implausible(
    image: npt.NDArray[np.float32], geometry: Geometry, configuration: Configuration
) -> list[str]:
    """What is far from the training data, in words; empty where nothing is.

    Args:
        image: [c, z, y, x], as it was read.
        geometry: Its geometry.
        configuration: Spacing and intensities of the training data.
    """
    return _spacings(geometry, configuration) + _intensities(image, configuration)


def _spacings(geometry: Geometry, configuration: Configuration) -> list[str]:
    if geometry.dimensions == 2:
        return []
    wanted = [step for step in configuration.spacing_mm if step is not None]
    have = geometry.spacing_mm
    if min(wanted) / FACTOR <= min(have) and max(have) <= max(wanted) * FACTOR:
        return []
    listed = " × ".join(f"{step:.3g}" for step in have)
    planned = " × ".join(f"{step:.3g}" for step in wanted)
    return [
        f"voxels of {listed} mm, where the model works at {planned} mm. Is the spacing in "
        "millimetres?"
    ]


def _intensities(image: npt.NDArray[np.float32], configuration: Configuration) -> list[str]:
    found = []
    for channel, plan in zip(image, configuration.channels, strict=False):
        known = plan.statistics
        if known is None or plan.normalisation != "ct":  # others are relative to the image
            continue
        low, high = float(channel.min()), float(channel.max())
        wide = known.percentile_99_5 - known.percentile_00_5
        if (
            high - low < NARROW * wide
            or low > known.percentile_99_5
            or high < known.percentile_00_5
        ):
            found.append(
                f"values of {plan.name} from {low:.4g} to {high:.4g}, where the model knows "
                f"{known.percentile_00_5:.4g} to {known.percentile_99_5:.4g}. Is it in the same "
                "unit?"
            )
    return found
