"""A sliding window whose results come plane by plane, so that only a ring of them is in memory.

Tiles are predicted in the order in which they lie along one axis. As soon as no later tile
reaches a plane across that axis, the plane is handed out and its place is used again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from torch import Tensor

from autoseg.inference.streaming.tiles import gaussian_weights, tile_starts
from autoseg.preprocessing.slices import neighbours
from autoseg.schema.triple import triple

SLICES_AT_A_TIME = 8
VOXELS_AT_A_TIME = 2**18
"""Slices or tiles that are predicted together: as many small ones as this holds (8 slices).

It depends on nothing but the tile, so that no option changes a prediction."""

Network = Callable[[Tensor], Tensor]
"""Maps [b, c, *space] to [b, channels, *space]."""
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Tiles of a network.

    Attributes:
        tile: Voxels per axis, two or three axes; with two every slice is predicted on its own.
        step: Distance of neighbouring tiles as a share of the tile.
        num_slices: Slices that a two-dimensional network sees as channels.
        slice_axis: Axis along which slices are taken: 0 is z.
    """

    tile: tuple[int, ...]
    step: float
    num_slices: int = 1
    slice_axis: int = 0

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels of a tile along all three axes."""
        if len(self.tile) == 3:
            return self.tile
        size = list(self.tile)
        size.insert(self.slice_axis, 1)
        return triple(size)

    @property
    def together(self) -> int:
        """Tiles that are predicted at a time."""
        least = 1 if len(self.tile) == 3 else SLICES_AT_A_TIME
        return max(least, VOXELS_AT_A_TIME // math.prod(self.tile))


@dataclass(frozen=True, kw_only=True)
class NetworkInput:
    """What tiles are cut from.

    Attributes:
        image: [c, z, y, x] float32.
        labels: [z, y, x] indices of an earlier stage, which the network gets as masks, or None.
        num_indices: Indices that `labels` may hold, background included.
        slice_step: Slices from one neighbour that a network sees to the next.
    """

    image: Tensor
    labels: Tensor | None = None
    num_indices: int = 0
    slice_step: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels per axis."""
        return triple(self.image.shape[1:])

    def padded(self, shape: Sequence[int]) -> NetworkInput:
        """The input with zeros on both sides, up to `shape`; the smaller half lies in front."""
        labels = None if self.labels is None else pad_nd_image(self.labels, shape)
        return replace(self, image=pad_nd_image(self.image, shape), labels=labels)

    def cut(self, box: Box, tiling: Tiling) -> Tensor:
        """A tile: [channels, *tile], slices as channels where the tile has two axes."""
        if len(tiling.tile) == 3:
            return self._with_masks(self.image[(slice(None), *box)], box)
        axis = tiling.slice_axis
        near = neighbours(box[axis].start, tiling.num_slices, self.shape[axis], self.slice_step)
        plane: list[slice | int] = list(box)
        stacks = []
        for position in near.tolist():
            plane[axis] = slice(position, position + 1)
            chosen = tuple(plane)
            part = self._with_masks(self.image[(slice(None), *chosen)], chosen)  # type: ignore[arg-type]
            stacks.append(part.squeeze(1 + axis))
        # Channels of the image go first, each with its slices.
        return torch.stack(stacks, dim=1).flatten(0, 1)

    def _with_masks(self, image: Tensor, box: Box) -> Tensor:
        if self.labels is None:
            return image
        here = self.labels[box]
        indices = torch.arange(1, self.num_indices, device=here.device, dtype=here.dtype)
        masks = here[None] == indices.view(-1, 1, 1, 1)
        return torch.cat((image, masks.to(image.dtype)))


class Schedule:
    """The order in which tiles are predicted, and what is in memory meanwhile.

    Args:
        shape: Voxels of the case per axis.
        tiling: Tiles of the network.
        axis: Axis along which the planes follow each other.
        reverse: Hand out the last plane first.
        window: The part of the case that is wanted.
    """

    def __init__(
        self, shape: Sequence[int], tiling: Tiling, *, axis: int, reverse: bool, window: Box
    ) -> None:
        self.axis = axis
        self.reverse = reverse
        self.size = tiling.size
        self.shape = [max(have, need) for have, need in zip(shape, self.size, strict=True)]
        offsets = [(need - have) // 2 for have, need in zip(shape, self.shape, strict=True)]
        self.window = tuple(
            slice(part.start + offset, part.stop + offset)
            for part, offset in zip(window, offsets, strict=True)
        )
        # Along the axis in order, elsewhere as they were: every voxel gets its sum in one order.
        starts = sorted(tile_starts(self.shape, self.size, tiling.step), key=self.first)
        together = tiling.together
        batches = [starts[first : first + together] for first in range(0, len(starts), together)]
        # Batches stay whole, so that a window changes no result (kernels differ by their size).
        self.batches = [batch for batch in batches if any(map(self.is_wanted, batch))]

    @property
    def depth(self) -> int:
        """Planes that the ring holds."""
        reach = self.size[self.axis]
        return max(self.first(batch[-1]) + reach - self.first(batch[0]) for batch in self.batches)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Voxels of a plane, in the order of the remaining axes."""
        return tuple(
            part.stop - part.start
            for position, part in enumerate(self.window)
            if position != self.axis
        )

    @property
    def planes(self) -> range:
        """Planes of the window, in their order."""
        part = self.window[self.axis]
        if self.reverse:
            length = self.shape[self.axis]
            return range(length - part.stop, length - part.start)
        return range(part.start, part.stop)

    def first(self, start: Sequence[int]) -> int:
        """First plane of a tile, in the order of the planes."""
        low = start[self.axis]
        return self.shape[self.axis] - low - self.size[self.axis] if self.reverse else low

    def is_wanted(self, start: Sequence[int]) -> bool:
        """Whether a tile touches the window."""
        return all(
            low + length > part.start and low < part.stop
            for low, length, part in zip(start, self.size, self.window, strict=True)
        )


class TileStream:
    """Predictions of a case, plane by plane across one axis; every plane is handed out once.

    Tiles that have one value per channel are predicted once per value.

    Args:
        network: Predicts tiles.
        source: The case.
        tiling: Tiles of the network.
        channels: Channels of the network's result.
        schedule: The order of the tiles.
        dtype: Number format of the sums.
    """

    def __init__(
        self,
        network: Network,
        source: NetworkInput,
        tiling: Tiling,
        channels: int,
        schedule: Schedule,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._network = network
        self._source = source.padded(schedule.shape)
        self._tiling = tiling
        self._channels = channels
        self._schedule = schedule
        self._dtype = dtype
        self._constant: dict[tuple[float, ...], Tensor] = {}

    def __iter__(self) -> Iterator[Tensor]:
        """Yields [u, v, channels] per plane of the window, in the format of the sums."""
        schedule = self._schedule
        device = self._source.image.device
        shape = (schedule.depth, *schedule.plane_shape)
        ring = torch.zeros((*shape, self._channels), device=device, dtype=self._dtype)
        total = torch.zeros((*shape, 1), device=device, dtype=self._dtype)
        weights = self._weights(device)
        wanted = schedule.planes
        handed = schedule.first(schedule.batches[0][0])
        ends = [schedule.first(batch[0]) for batch in schedule.batches[1:]] + [wanted.stop]
        for batch, end in zip(schedule.batches, ends, strict=True):
            for start, result in zip(batch, self._predict(batch), strict=True):
                if schedule.is_wanted(start):
                    self._add(ring, total, weights, start, result)
            del result  # large, and not needed during the next pass
            while handed < min(end, wanted.stop):
                slot = handed % len(ring)
                if handed in wanted:
                    yield ring[slot] / total[slot]
                ring[slot].zero_()
                total[slot].zero_()
                handed += 1

    def _weights(self, device: torch.device) -> Tensor:
        """Weights of a tile's voxels: [planes, u, v, 1]."""
        weights = gaussian_weights(self._tiling.tile).to(device)
        if len(self._tiling.tile) == 2:
            weights = weights.unsqueeze(self._tiling.slice_axis)
        weights = weights.movedim(self._schedule.axis, 0)[..., None]
        return weights.flip(0) if self._schedule.reverse else weights

    def _predict(self, batch: Sequence[tuple[int, ...]]) -> Iterator[Tensor]:
        """Results of tiles, [channels, z, y, x]."""
        boxes = [_box(start, self._tiling.size) for start in batch]
        tiles = [self._source.cut(box, self._tiling) for box in boxes]
        keys = [_constant(tile) for tile in tiles]
        todo = [tile for tile, key in zip(tiles, keys, strict=True) if key is None]
        results = iter(self._network(torch.stack(todo)).float() if todo else ())
        flat = len(self._tiling.tile) == 2
        for tile, key in zip(tiles, keys, strict=True):
            if key is None:
                item = next(results)
            else:
                if key not in self._constant:
                    self._constant[key] = self._network(tile[None]).float()[0]
                item = self._constant[key]
            yield item.unsqueeze(1 + self._tiling.slice_axis) if flat else item

    def _add(
        self, ring: Tensor, total: Tensor, weights: Tensor, start: Sequence[int], result: Tensor
    ) -> None:
        """Adds a tile to the ring, clipped to the window."""
        schedule = self._schedule
        planes = result.movedim(1 + schedule.axis, 1).permute(1, 2, 3, 0)
        inside, target = [], []
        for position, part in enumerate(schedule.window):
            if position != schedule.axis:
                low = max(start[position], part.start)
                high = min(start[position] + schedule.size[position], part.stop)
                inside.append(slice(low - start[position], high - start[position]))
                target.append(slice(low - part.start, high - part.start))
        chosen = (slice(None), *inside)
        if schedule.reverse:
            planes = planes.flip(0)
        weights = weights[chosen]
        weighted = planes[chosen] * weights
        count, slot = len(planes), schedule.first(start) % len(ring)
        fits = min(count, len(ring) - slot)
        for slots, part in (
            (slice(slot, slot + fits), slice(0, fits)),
            (slice(0, count - fits), slice(fits, count)),
        ):
            ring[(slots, *target)] += weighted[part]
            total[(slots, *target)] += weights[part]


def _box(start: Sequence[int], size: Sequence[int]) -> Box:
    return triple(slice(low, low + length) for low, length in zip(start, size, strict=True))


def _constant(tile: Tensor) -> tuple[float, ...] | None:
    """The value of every channel where each has only one, else None."""
    corners = tile.flatten(1)[:, 0]
    flat = tile.flatten(1)
    if not torch.equal(flat[:, -1], corners):  # nearly always settles it
        return None
    low, high = flat.aminmax(dim=1)
    return tuple(low.tolist()) if torch.equal(low, high) else None
