"""Where the tiles of a sliding window lie and how their voxels are weighted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
import torch
from torch import Tensor

PEAK = 10.0


def axis_starts(size: int, tile: int, step: float) -> list[int]:
    """Starts of tiles along one axis, evenly spread so that every voxel is covered.

    Args:
        size: Voxels of the image, at least `tile`.
        tile: Voxels of a tile.
        step: Largest distance of neighbouring tiles as a share of the tile, 0 … 1.
    """
    count = math.ceil((size - tile) / (tile * step)) + 1 if size > tile else 1
    if count == 1:
        return [0]
    distance = (size - tile) / (count - 1)
    return [int(np.round(distance * index)) for index in range(count)]


def tile_starts(shape: Sequence[int], tile: Sequence[int], step: float) -> list[tuple[int, ...]]:
    """Starts of all tiles, first axis slowest."""
    return list(
        product(*(axis_starts(size, part, step) for size, part in zip(shape, tile, strict=True)))
    )


@lru_cache(maxsize=8)
def gaussian_weights(tile: tuple[int, ...]) -> Tensor:
    """Gaussian with sigma of an eighth of the tile and maximum 10, nowhere 0: [*tile] float32.

    Its values are those that nnU-Net's half precision leaves: where only the outermost voxels of
    tiles meet, along the image's edges, the smallest of them decide.
    """
    weights = np.full(tile, PEAK)
    for axis, size in enumerate(tile):
        # The grid point at size // 2 is the centre, as nnU-Net has it.
        offsets = np.arange(size) - size // 2
        curve = np.exp(-0.5 * (offsets / (size / 8)) ** 2)
        weights *= curve.reshape([-1 if other == axis else 1 for other in range(len(tile))])
    rounded = weights.astype(np.float16).astype(np.float32)
    rounded[rounded == 0] = rounded[rounded > 0].min()
    return torch.from_numpy(rounded)
