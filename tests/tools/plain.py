"""The plain way to predict and to restore, which streaming must equal: everything in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autoseg.inference.streaming.tile_stream import SLICES_AT_A_TIME, VOXELS_AT_A_TIME
from autoseg.inference.streaming.tiles import gaussian_weights, tile_starts
from autoseg.preprocessing.case import CaseTrace
from autoseg.preprocessing.crop import slices
from autoseg.preprocessing.resample import coarse_axis, resample_volume
from autoseg.preprocessing.slices import neighbours
from autoseg.schema.labels import LabelScheme

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.integer]
Network = Callable[[Tensor], Tensor]


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


def transfer(channels: Floats, source: CaseTrace, target: CaseTrace) -> Floats:
    """Resamples predictions from one configuration's grid to another's, of the same image.

    Args:
        channels: [c, *source.shape].
        source: How the case was preprocessed for the first configuration.
        target: How it was for the second.

    Returns:
        [c, *target.shape] float32, linear.
    """
    spacing = [0.0, 0.0, 0.0]
    for position, axis in enumerate(source.axes):
        spacing[axis] = source.target_mm[position]
    here = tuple(spacing[axis] for axis in target.axes)
    coarse = coarse_axis(here, target.target_mm)
    parts = []
    for channel in channels:
        plain = _unpermute(np.asarray(channel, dtype=np.float32), source.axes, source.flips)
        turned = np.ascontiguousarray(_permute(plain[None], target.axes, target.flips)[0])
        parts.append(resample_volume(turned, target.shape, order=1, coarse=coarse))
    return np.stack(parts)


def restore_prediction(
    logits: Floats, trace: CaseTrace, scheme: LabelScheme
) -> npt.NDArray[np.integer]:
    """Turns logits into a label map on the grid of the original image.

    Channels are resampled one at a time against a running maximum, so that no array of all
    classes at full resolution exists.

    Args:
        logits: [channels, *trace.shape].
        trace: From `preprocess_case`.
        scheme: Label scheme of the model.

    Returns:
        [z, y, x] raw label values in the smallest unsigned type that holds them.
    """
    shape = trace.crop_shape
    dtype = scheme.output_dtype()
    coarse = coarse_axis(trace.target_mm, trace.spacing_mm)

    def channel(index: int) -> Floats:
        part = np.asarray(logits[index], dtype=np.float32)
        return resample_volume(part, shape, order=1, coarse=coarse)

    values: npt.NDArray[np.integer] = np.zeros(shape, dtype=dtype)
    if scheme.regions_order is not None:
        for index, value in enumerate(scheme.regions_order):
            values[channel(index) > 0] = value
    else:
        best = channel(0).copy()
        for index, value in enumerate(scheme.foreground_values, start=1):
            here = channel(index)
            better = here > best
            values[better] = value
            np.maximum(best, here, out=best)
    return _uncrop(values, trace)


def restore_probabilities(logits: Floats, trace: CaseTrace, scheme: LabelScheme) -> Floats:
    """Softmax (or sigmoid of regions) on the grid of the original image.

    Outside the crop the background has probability 1 and regions have 0.

    Returns:
        [channels, z, y, x] float32.
    """
    coarse = coarse_axis(trace.target_mm, trace.spacing_mm)
    resampled = np.stack(
        [
            resample_volume(
                np.asarray(part, dtype=np.float32), trace.crop_shape, order=1, coarse=coarse
            )
            for part in logits
        ]
    )
    if scheme.has_regions:
        resampled = (1 / (1 + np.exp(-np.clip(resampled, -80, 80)))).astype(np.float32)
    else:
        resampled -= resampled.max(axis=0, keepdims=True)
        np.exp(resampled, out=resampled)
        resampled /= resampled.sum(axis=0, keepdims=True)
    outside = [0.0] * len(logits) if scheme.has_regions else [1.0] + [0.0] * (len(logits) - 1)
    return np.stack(
        [_uncrop(part, trace, fill=fill) for part, fill in zip(resampled, outside, strict=True)]
    ).astype(np.float32)


def _uncrop(volume: npt.NDArray[np.generic], trace: CaseTrace, fill: float = 0) -> Labels:
    shape = tuple(trace.geometry.shape[axis] for axis in trace.axes)
    full = np.full(shape, fill, dtype=volume.dtype)
    full[slices(trace.crop)] = volume
    return np.ascontiguousarray(_unpermute(full, trace.axes, trace.flips))


def _unpermute(volume: Labels, axes: Sequence[int], flips: Sequence[bool]) -> Labels:
    flipped = volume[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    return flipped.transpose(np.argsort(axes))


def _permute(image, axes, flips):
    permuted = image.transpose(0, *(axis + 1 for axis in axes))
    return permuted[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in flips))]
