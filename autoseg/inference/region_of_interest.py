"""Where to look: a coarse model finds the organs, and only the box around them is predicted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from autoseg.errors import UsageError
from autoseg.schema.geometry import Geometry
from autoseg.schema.labels import LabelScheme
from autoseg.schema.triple import triple

logger = logging.getLogger(__name__)

MARGIN_MM = 20.0
"""Margin around the region (TotalSegmentator's)."""


class LabelMap(Protocol):
    """A prediction."""

    @property
    def labels(self) -> npt.NDArray[np.integer]:
        """[z, y, x]."""


class Finder(Protocol):
    """A model that finds a region, such as a `Predictor`."""

    @property
    def labels(self) -> LabelScheme:
        """Its labels."""

    @property
    def num_channels(self) -> int:
        """Channels of the images that it sees."""

    def predict_array(self, image: npt.NDArray[np.float32], geometry: Geometry) -> LabelMap:
        """Predicts an image [c, z, y, x]."""


class RegionOfInterest:
    """Finds the box around some labels.

    Args:
        finder: The coarse model.
        labels: Names of its labels, or their values.
        margin_mm: What is added on all sides.

    Raises:
        UsageError: The model does not have a label.
    """

    def __init__(self, finder: Finder, labels: Sequence[str], margin_mm: float = MARGIN_MM) -> None:
        if not margin_mm >= 0:
            raise UsageError(f"--roi-margin {margin_mm}: expected millimetres, 0 or more.")
        self._finder = finder
        self._values = sorted({value for name in labels for value in _values(finder.labels, name)})
        self._margin_mm = margin_mm

    def find(
        self, image: npt.NDArray[np.float32], geometry: Geometry
    ) -> tuple[slice, slice, slice]:
        """The box in voxels; all of the image where the labels are not found.

        Args:
            image: [c, z, y, x]; the coarse model gets the channels that it has.
            geometry: Its geometry.
        """
        channels = image[: self._finder.num_channels]
        labels = self._finder.predict_array(channels, geometry).labels
        mask = np.isin(labels, self._values)
        if not mask.any():
            logger.warning("The region of interest was not found; the whole image is predicted.")
            return triple(slice(0, size) for size in geometry.shape)
        box = []
        for axis, (size, spacing) in enumerate(
            zip(geometry.shape, geometry.spacing_mm, strict=True)
        ):
            others = tuple(other for other in range(3) if other != axis)
            found = np.flatnonzero(mask.any(axis=others))
            margin = int(np.ceil(self._margin_mm / spacing))
            box.append(slice(max(0, found[0] - margin), min(size, found[-1] + 1 + margin)))
        return triple(box)


def _values(scheme: LabelScheme, name: str) -> tuple[int, ...]:
    for item in scheme.classes:
        if item.name == name:
            return item.values
    if name.isdigit() and int(name) in scheme.foreground_values:
        return (int(name),)
    known = ", ".join(item.name for item in scheme.classes[:12])
    raise UsageError(f"--roi {name}: the coarse model has no such label. It has: {known}.")
