"""The grid of an image: what no value of a metric can exceed on it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Voxels of an image and their size.

    Attributes:
        shape: [z, y, x] or [y, x].
        spacing_mm: Per axis.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]

    @property
    def num_voxels(self) -> int:
        """Voxels of the image."""
        return math.prod(self.shape)

    @property
    def volume_ml(self) -> float:
        """Volume of the image in ml (of a 2D one: its area times 1 mm)."""
        return self.num_voxels * math.prod(self.spacing_mm) / 1000

    @property
    def diagonal_mm(self) -> float:
        """The largest distance that two of its points can have."""
        sides = zip(self.shape, self.spacing_mm, strict=True)
        return math.sqrt(sum((size * step) ** 2 for size, step in sides))

    def most_components(self, connectivity: int) -> int:
        """No mask has more connected components; see `label_components` for the connectivity."""
        halves = [(size + 1) // 2 for size in self.shape]
        if connectivity in (4, 6):
            return (self.num_voxels + 1) // 2
        if connectivity == 18 and len(self.shape) == 3:
            # Within a slice all eight neighbours connect.
            apart = math.prod(halves)
            return min(
                apart // half * size for half, size in zip(halves, self.shape, strict=True) if half
            )
        return math.prod(halves)
