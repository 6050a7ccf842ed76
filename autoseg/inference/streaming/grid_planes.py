"""From a network's grid to the image's, plane by plane, without an array of all classes.

Interpolation is linear, and so is the last layer of most networks: what is interpolated are the
features before it, where they are fewer than the classes. Where the same class wins at all corners
between which a voxel lies it wins there too, so that only the others are computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autoseg.inference.streaming.decisions import argmax
from autoseg.inference.streaming.tile_stream import Box
from autoseg.preprocessing.case import Restoration
from autoseg.preprocessing.resample import linear_taps, nearest_index
from autoseg.schema.labels import LabelScheme
from autoseg.schema.triple import triple

VOXELS_AT_A_TIME = {"cpu": 2**11, "cuda": 2**18, "mps": 2**16}
"""Voxels whose logits are computed at a time: on CPUs as many as their caches hold."""


Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Head:
    """The last layer: logits are `features @ weight.T + bias`; without a weight they are features.

    Attributes:
        weight: [outputs, features], or None.
        bias: [outputs], or None.
        half: Logits are rounded to half precision.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    half: bool = False

    def __call__(self, features: Tensor) -> Tensor:
        """Maps [n, features] to logits [n, outputs]."""
        if self.weight is None or self.bias is None:
            return features.half().float() if self.half else features
        return torch.mm(features, self.weight.T).add_(self.bias)


class PlaneSource(Protocol):
    """Something that has features of a case on a network's grid."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the grid."""

    @property
    def head(self) -> Head:
        """Makes logits of the features."""

    @property
    def axis(self) -> int | None:
        """Axis along which planes follow each other where that changes their values, else None."""

    def planes(self, axis: int, *, reverse: bool, window: Box) -> Iterable[Tensor]:
        """Yields [u, v, features] for the planes of a window, in their order along an axis."""

    def ring_bytes(self, axis: int, window: Box) -> int:
        """Memory of the planes that are kept at a time."""

    def num_tiles(self, axis: int, window: Box) -> int:
        """Tiles that are predicted for a window."""


@dataclass(frozen=True, kw_only=True)
class _Taps:
    """Which two old planes, rows or columns a new one lies between, and the share of the second."""

    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    weight: Floats

    def part(self, wanted: slice) -> tuple[_Taps, slice]:
        """The taps of some new ones, and the old ones that they need (counted from there)."""
        low, high = self.low[wanted], self.high[wanted]
        first, last = int(low.min()), int(high.max())
        taps = _Taps(low=low - first, high=high - first, weight=self.weight[wanted])
        return taps, slice(first, last + 1)


def _taps(size: int, new_size: int, *, nearest: bool) -> _Taps:
    if nearest or size == new_size:
        index = nearest_index(size, new_size)
        return _Taps(low=index, high=index, weight=np.zeros(new_size, dtype=np.float32))
    low, weight = linear_taps(size, new_size)
    return _Taps(low=low, high=low + (weight > 0), weight=weight)


class GridPlanes:
    """Planes of a case's logits on another grid, in order along one axis of the network's.

    Args:
        source: Features on the network's grid.
        restoration: How the other grid lies.
        scheme: Label scheme of the model.
        axis: Axis of the network's grid along which planes follow each other.
        reverse: The last plane comes first.
        window: Voxels of the new grid (before cropping was undone) that are wanted.
    """

    def __init__(
        self,
        source: PlaneSource,
        restoration: Restoration,
        scheme: LabelScheme,
        *,
        axis: int,
        reverse: bool,
        window: Box,
    ) -> None:
        self._source = source
        self._scheme = scheme
        self._axis = axis
        taps, old = [], []
        for position, wanted in enumerate(window):
            found = _taps(
                source.shape[position],
                restoration.shape[position],
                nearest=position == restoration.coarse,
            )
            part, needed = found.part(wanted)
            taps.append(part)
            old.append(needed)
        self._window: Box = triple(old)
        self._along = taps.pop(axis)
        self._rows, self._columns = taps
        self._reverse = reverse
        self._order = list(range(len(self._along.low)))
        if reverse:
            self._order.reverse()
        self.shape = (len(self._rows.low), len(self._columns.low))

    @property
    def ring_bytes(self) -> int:
        """Memory of the planes of the network's grid that are kept at a time."""
        return self._source.ring_bytes(self._axis, self._window)

    @property
    def num_tiles(self) -> int:
        """Tiles that are predicted."""
        return self._source.num_tiles(self._axis, self._window)

    def labels(self) -> Iterator[tuple[int, npt.NDArray[np.integer]]]:
        """Yields the position of a plane and its winners [u, v]: see `argmax`."""
        for position, low, high, weight in self._pairs():
            same = self._uniform(low.winners, high.winners)
            plane = low.winners[self._rows.low[:, None], self._columns.low[None]]
            rows, columns = np.nonzero(~same)
            if len(rows):
                features = _between(low.features, high.features, weight)
                for part in _pieces(len(rows), features.device):
                    logits = self._logits(features, rows[part], columns[part])
                    found = argmax(logits, self._scheme).cpu().numpy()
                    plane[rows[part], columns[part]] = found
            yield position, plane

    def logits(self) -> Iterator[tuple[int, Iterator[tuple[slice, Tensor]]]]:
        """Yields the position of a plane, and its logits [n, outputs] for parts of its voxels."""
        for position, low, high, weight in self._pairs(decide=False):
            yield position, self._parts(_between(low.features, high.features, weight))

    def _parts(self, features: Tensor) -> Iterator[tuple[slice, Tensor]]:
        count = self.shape[0] * self.shape[1]
        for part in _pieces(count, features.device):
            rows, columns = np.divmod(np.arange(part.start, part.stop), self.shape[1])
            yield part, self._logits(features, rows, columns)

    def _pairs(self, *, decide: bool = True) -> Iterator[tuple[int, _Plane, _Plane, float]]:
        """The two old planes of every new one."""
        incoming = iter(self._source.planes(self._axis, reverse=self._reverse, window=self._window))
        last = self._window[self._axis].stop - self._window[self._axis].start - 1
        following = last if self._reverse else 0
        kept: dict[int, _Plane] = {}
        for position in self._order:
            ends = int(self._along.low[position]), int(self._along.high[position])
            while not all(end in kept for end in ends):
                plane = next(incoming)
                if following in range(min(ends), max(ends) + 1):
                    found = self._decide(plane) if decide else _NOTHING
                    kept[following] = _Plane(features=plane, winners=found)
                following += -1 if self._reverse else 1
            kept = {key: value for key, value in kept.items() if key in ends}
            yield position, kept[ends[0]], kept[ends[1]], float(self._along.weight[position])

    def _decide(self, plane: Tensor) -> npt.NDArray[np.integer]:
        flat = plane.flatten(0, 1)
        parts = [
            argmax(self._source.head(part), self._scheme)
            for part in torch.split(flat, VOXELS_AT_A_TIME[plane.device.type])
        ]
        result: npt.NDArray[np.integer]
        result = torch.cat(parts).view(plane.shape[:2]).cpu().numpy()
        return result

    def _uniform(
        self, low: npt.NDArray[np.generic], high: npt.NDArray[np.generic]
    ) -> npt.NDArray[np.bool_]:
        """Where all corners have one winner: [u, v]."""
        rows, columns = self._rows, self._columns
        same = low == high if low is not high else np.ones(low.shape, dtype=bool)
        # Pairs of rows first, then of columns: each voxel sees its four corners in both planes.
        along = low[rows.low] == low[rows.high]
        along &= same[rows.low] & same[rows.high]
        upper = low[rows.low]
        result: npt.NDArray[np.bool_] = upper[:, columns.low] == upper[:, columns.high]
        result &= along[:, columns.low] & along[:, columns.high]
        return result

    def _logits(
        self, features: Tensor, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
    ) -> Tensor:
        """Logits [n, outputs] of voxels of a plane, whose features are [u, v, f]."""
        width = features.shape[1]
        flat = features.flatten(0, 1)

        def corner(row: npt.NDArray[np.int64], column: npt.NDArray[np.int64]) -> Tensor:
            index = torch.from_numpy(row[rows] * width + column[columns])
            return flat.index_select(0, index.to(flat.device))

        def weights(values: Floats, which: npt.NDArray[np.int64]) -> Tensor:
            return torch.from_numpy(values[which])[:, None].to(flat.device)

        across, down = weights(self._columns.weight, columns), weights(self._rows.weight, rows)
        near, far = (
            torch.lerp(corner(row, self._columns.low), corner(row, self._columns.high), across)
            for row in (self._rows.low, self._rows.high)
        )
        return self._source.head(torch.lerp(near, far, down))


@dataclass(frozen=True, kw_only=True)
class _Plane:
    """An old plane: [u, v, features], and the winner of each voxel [u, v]."""

    features: Tensor
    winners: npt.NDArray[np.integer]


_NOTHING = np.zeros((0, 0), dtype=np.uint8)


def _between(low: Tensor, high: Tensor, weight: float) -> Tensor:
    """A plane between two: [u, v, f]."""
    if low is high or weight == 0:
        return low
    return torch.lerp(low, high, weight)


def _pieces(count: int, device: torch.device) -> Iterator[slice]:
    size = VOXELS_AT_A_TIME[device.type]
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


def whole(shape: Sequence[int]) -> Box:
    """The box that is everything."""
    return triple(slice(0, size) for size in shape)
