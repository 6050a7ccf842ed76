"""An image as it was read, whatever its format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from evaluation.errors import EvaluationError


@dataclass(frozen=True, kw_only=True)
class Image:
    """Voxels and where they lie.

    Attributes:
        array: Axes as in the file, last axis fastest; with several channels they come first.
        has_channels: Whether the first axis is one of channels.
        spacing_mm: Per spatial axis of the array.
        origin_mm: Position of the first voxel (x, y, z).
        direction: Direction cosines, row by row.
        step: Distance between numbers that the file can hold, where they are not held exactly.
    """

    array: npt.NDArray[Any]
    has_channels: bool
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]
    step: float = 0.0

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Voxels per spatial axis."""
        shape = self.array.shape
        return tuple(int(size) for size in (shape[1:] if self.has_channels else shape))

    def channels_first(self) -> npt.NDArray[np.generic]:
        """The array with an axis of channels, even if there is one only."""
        return self.array if self.has_channels else self.array[None]


def from_itk(path: Path, image: sitk.Image, array: npt.NDArray[Any]) -> Image:
    """Image of what ITK read.

    Args:
        path: The file, for messages.
        image: As ITK has it.
        array: Its voxels.

    Raises:
        EvaluationError: The voxel size is none.
    """
    number = image.GetDimension()
    axes = min(number, 3)
    has_channels = image.GetNumberOfComponentsPerPixel() > 1
    if has_channels:
        array = np.moveaxis(array, -1, 0)
    elif number > 3:
        array = array.reshape(-1, *array.shape[-3:])
        has_channels = len(array) > 1
        array = array if has_channels else array[0]
    spacing = image.GetSpacing()[:axes]
    if not all(0 < step < math.inf for step in spacing):
        raise EvaluationError(f"{path}: spacing {list(spacing)} mm is not above 0.")
    direction = np.array(image.GetDirection()).reshape(number, number)[:axes, :axes]
    return Image(
        array=array,
        has_channels=has_channels,
        spacing_mm=tuple(reversed(spacing)),
        origin_mm=tuple(image.GetOrigin()[:axes]),
        direction=tuple(direction.ravel().tolist()),
    )
