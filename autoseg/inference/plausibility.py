"""Whether an image looks like those that a model has learnt from, by spacing and intensities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoseg.schema.geometry import Geometry
from autoseg.schema.plan import Configuration

FACTOR = 4.0
"""How much finer or coarser than all training images an image may be."""
FACTOR_OF_TARGET = 16.0
"""How much finer or coarser than the target where the training images are not known: a model of
6 mm has learnt from images of less than 1 mm."""
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
    """Axes along which slices are not resampled do not count."""
    turned = (0, 1, 2)
    if configuration.orientation is not None:
        turned, _ = geometry.turn_to(configuration.orientation)
    known, factor = _known_mm(configuration)
    whose = "the training images have" if factor == FACTOR else "the model works at"
    found = []
    for axis, target in enumerate(configuration.spacing_mm):
        own = turned[configuration.transpose[axis]]
        have, (low, high) = geometry.spacing_mm[own], known[axis]
        if target is not None and not low / factor <= have <= high * factor:
            seen = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
            found.append(f"{have:.3g} mm along {'zyx'[own]} ({whose} {seen})")
    return [f"its spacing is {', '.join(found)}. Is it in millimetres?"] if found else []


def _known_mm(configuration: Configuration) -> tuple[list[tuple[float, float]], float]:
    """Smallest and largest spacing that is known per axis, and how far from it is far."""
    if configuration.seen_spacing_mm:
        return list(configuration.seen_spacing_mm), FACTOR
    return [(step or 0.0, step or 0.0) for step in configuration.spacing_mm], FACTOR_OF_TARGET


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
