"""Logits in memory as a source of planes, for tests and benchmarks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autoseg.inference.streaming.grid_planes import Head
from autoseg.inference.streaming.tile_stream import Box
from autoseg.schema.triple import triple

Floats = npt.NDArray[np.float32]


class ArraySource:
    """Logits that are in memory.

    Args:
        logits: [outputs, z, y, x].
    """

    def __init__(self, logits: Floats | Tensor) -> None:
        self._logits = torch.as_tensor(logits)
        self.head = Head()
        self.axis = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the grid."""
        return triple(self._logits.shape[1:])

    def planes(self, axis: int, *, reverse: bool, window: Box) -> Iterator[Tensor]:
        """Yields [u, v, outputs] float32."""
        part = self._logits[(slice(None), *window)].movedim(1 + axis, 1)
        order = range(part.shape[1])
        for position in reversed(order) if reverse else order:
            yield part[:, position].permute(1, 2, 0).float().contiguous()

    def ring_bytes(self, axis: int, window: Box) -> int:
        """One plane at a time is copied."""
        sizes: list[int] = [part.stop - part.start for part in window]
        return 4 * len(self._logits) * math.prod(sizes) // sizes[axis]

    def num_tiles(self, axis: int, window: Box) -> int:
        """Nothing is predicted."""
        del axis, window
        return 0
