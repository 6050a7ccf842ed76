"""An image as it was read, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


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
