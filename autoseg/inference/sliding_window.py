"""Sliding window: logits of a whole case from overlapping tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch import Tensor

from autoseg.inference.tiles import gaussian_weights, tile_starts
from autoseg.preprocessing.slices import neighbours

SLICES_AT_A_TIME = 8
VOXELS_AT_A_TIME = 2**18
"""Slices or tiles that are predicted together: as many small ones as this holds (8 slices)."""

Network = Callable[[Tensor], Tensor]
"""Maps [b, c, *space] to logits [b, classes, *space]."""


def mirrored(network: Network, axes: Sequence[int]) -> Network:
    """Averages a network's logits over all combinations of mirrored axes.

    Args:
        network: The network.
        axes: Spatial axes, 0 is the first one.
    """
    flips = [
        tuple(axis + 2 for axis in chosen)
        for count in range(len(axes) + 1)
        for chosen in combinations(axes, count)
    ]

    def run(tiles: Tensor) -> Tensor:
        total = network(tiles)
        for flip in flips[1:]:
            total = total + network(tiles.flip(flip)).flip(flip)
        return total / len(flips)

    return run


def sliding_window(
    network: Network,
    image: Tensor,
    tile: Sequence[int],
    num_outputs: int,
    *,
    step: float,
    num_slices: int = 1,
    slice_axis: int = 0,
) -> Tensor:
    """Predicts a case.

    Args:
        network: Predicts tiles.
        image: [c, z, y, x]; with a two-dimensional tile every slice is predicted on its own.
        tile: Voxels per axis, two or three axes.
        num_outputs: Channels of the logits.
        step: Distance of neighbouring tiles as a share of the tile.
        num_slices: Slices that a two-dimensional network sees as channels.
        slice_axis: Axis along which slices are taken: 0 is z.

    Returns:
        Logits [num_outputs, z, y, x], float32, on the image's device.
    """
    if len(tile) == 3:
        return _window(network, image[None], tile, num_outputs, step)[0]
    slices = image.movedim(1 + slice_axis, 1)
    count = slices.shape[1]
    together = max(SLICES_AT_A_TIME, VOXELS_AT_A_TIME // math.prod(tile))
    parts = []
    for start in range(0, count, together):
        stacks = [
            slices[:, torch.from_numpy(neighbours(position, num_slices, count))].flatten(0, 1)
            for position in range(start, min(start + together, count))
        ]
        parts.append(_window(network, torch.stack(stacks), tile, num_outputs, step))
    return torch.cat(parts).transpose(0, 1).movedim(1, 1 + slice_axis)


def _window(
    network: Network, batch: Tensor, tile: Sequence[int], num_outputs: int, step: float
) -> Tensor:
    """Predicts [b, c, *space], as many small tiles at a time as are fast."""
    shape = batch.shape[2:]
    padded, inner = pad_to(batch, tile)
    weights = gaussian_weights(tuple(tile)).to(batch.device)
    starts = tile_starts(padded.shape[2:], tile, step)
    if len(starts) == 1:
        logits = network(padded).float()
    else:
        logits = torch.zeros((batch.shape[0], num_outputs, *padded.shape[2:]), device=batch.device)
        total = torch.zeros(padded.shape[2:], device=batch.device)
        every = slice(None)
        places = [
            tuple(slice(low, low + size) for low, size in zip(start, tile, strict=True))
            for start in starts
        ]
        together = max(1, VOXELS_AT_A_TIME // (math.prod(tile) * len(batch)))
        for first in range(0, len(places), together):
            chosen = places[first : first + together]
            tiles = torch.cat([padded[(every, every, *place)] for place in chosen])
            parts = torch.split(network(tiles).float(), len(batch))
            for place, part in zip(chosen, parts, strict=True):
                logits[(every, every, *place)] += part * weights
                total[place] += weights
        logits /= total
    result = logits[(slice(None), slice(None), *inner)]
    assert result.shape[2:] == shape
    return result


def pad_to(batch: Tensor, tile: Sequence[int]) -> tuple[Tensor, tuple[slice, ...]]:
    """Pads [b, c, *space] with 0 on both sides until it holds a tile.

    Returns:
        The padded batch, and where the image lies in it.
    """
    padding: list[int] = []
    inner: list[slice] = []
    for size, need in zip(batch.shape[2:], tile, strict=True):
        missing = max(need - size, 0)
        padding = [missing // 2, missing - missing // 2, *padding]
        inner.append(slice(missing // 2, missing // 2 + size))
    if any(padding):
        batch = torch.nn.functional.pad(batch, padding)
    return batch, tuple(inner)
