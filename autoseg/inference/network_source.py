"""Planes of the mean of several networks' logits, from streams of tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from autoseg.inference.network import LoadedNetwork
from autoseg.inference.streaming.grid_planes import Head
from autoseg.inference.streaming.tile_stream import Box, NetworkInput, Schedule, TileStream


class SumsOverflowError(ArithmeticError):
    """Sums of tiles do not fit their number format."""


class NetworkSource:
    """Mean features (or logits) of networks that see the same preprocessed case.

    Args:
        inputs: The networks and what each of them gets.
        half_sums: Sum in half precision where the networks' plans say so.
    """

    def __init__(
        self, inputs: Iterable[tuple[LoadedNetwork, NetworkInput]], *, half_sums: bool = True
    ) -> None:
        pairs = list(inputs)
        self._half = half_sums and all(network.half_sums for network, _ in pairs)
        joint: dict[tuple[object, ...], tuple[NetworkInput, list[LoadedNetwork]]] = {}
        for network, source in pairs:
            # What is rounded is rounded per network, as nnU-Net does it.
            key = (network.tiling, id(source), id(network) if self._half else None)
            joint.setdefault(key, (source, []))[1].append(network)
        self._joint = [_Joint(item, source, half=self._half) for source, item in joint.values()]
        self._count = sum(len(part.networks) for part in self._joint)
        self.head = self._joint[0].head if len(self._joint) == 1 else Head(half=self._half)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the grid."""
        return self._joint[0].source.shape

    @property
    def axis(self) -> int | None:
        """The first where sums are rounded, so that tiles are added in nnU-Net's order."""
        return 0 if self._half else None

    @torch.inference_mode()
    def planes(self, axis: int, *, reverse: bool, window: Box) -> Iterator[Tensor]:
        """Yields [u, v, features]; see `restore.PlaneSource`."""
        streams = [part.stream(axis, reverse, window) for part in self._joint]
        if self._half:
            yield from _mean_in_half(streams)
            return
        if len(streams) == 1:
            yield from streams[0]
            return
        for found in zip(*streams, strict=True):
            total = torch.zeros(())
            for part, plane in zip(self._joint, found, strict=True):
                share = len(part.networks) / self._count
                total = total + part.head(plane.flatten(0, 1)).view(*plane.shape[:2], -1) * share
            yield total

    def ring_bytes(self, axis: int, window: Box) -> int:
        """Memory of the planes that are kept at a time."""
        return sum(part.ring_bytes(axis, window) for part in self._joint)

    def num_tiles(self, axis: int, window: Box) -> int:
        """Tiles that are predicted for a window."""
        return sum(part.num_tiles(axis, window) for part in self._joint)


def _mean_in_half(streams: Sequence[Iterable[Tensor]]) -> Iterator[Tensor]:
    """Yields float32 planes, the means of half-precision ones, rounded wherever nnU-Net does."""
    for first, *others in zip(*streams, strict=True):
        total = first
        for plane in others:
            total = total + plane
        mean = (total / len(streams) if others else total).float()
        if not mean.isfinite().all():
            raise SumsOverflowError
        yield mean


class _Joint:
    """Networks with the same tiles and the same input."""

    def __init__(
        self, networks: Sequence[LoadedNetwork], source: NetworkInput, *, half: bool
    ) -> None:
        self.networks = networks
        self.source = source
        self._dtype = torch.float16 if half else torch.float32
        self._outputs = networks[0].configuration.labels.num_outputs
        features = [network.num_features for network in networks]
        self._split = None not in features and sum(map(int, features)) < self._outputs  # type: ignore[arg-type]
        self.head = Head(half=half)
        if self._split:
            heads = [network.head for network in networks]
            weights = [head.weight.flatten(1) for head in heads]  # type: ignore[union-attr, operator]
            biases = [head.bias for head in heads]  # type: ignore[union-attr]
            self.head = Head(
                weight=torch.cat(weights, dim=1).float() / len(heads),
                bias=torch.stack(biases).float().mean(0),  # type: ignore[arg-type]
            )

    @property
    def _channels(self) -> int:
        return int(self.head.weight.shape[1]) if self.head.weight is not None else self._outputs

    def stream(self, axis: int, reverse: bool, window: Box) -> TileStream:
        tiling = self.networks[0].tiling
        schedule = self._schedule(axis, reverse, window)
        return TileStream(self._run, self.source, tiling, self._channels, schedule, self._dtype)

    def ring_bytes(self, axis: int, window: Box) -> int:
        schedule = self._schedule(axis, False, window)
        values = (self._channels + 1) * schedule.depth * math.prod(schedule.plane_shape)
        return self._dtype.itemsize * values

    def num_tiles(self, axis: int, window: Box) -> int:
        schedule = self._schedule(axis, False, window)
        return len(self.networks) * sum(map(len, schedule.batches))

    def _schedule(self, axis: int, reverse: bool, window: Box) -> Schedule:
        tiling = self.networks[0].tiling
        return Schedule(self.source.shape, tiling, axis=axis, reverse=reverse, window=window)

    def _run(self, tiles: Tensor) -> Tensor:
        if self._split:
            return torch.cat([network.features(tiles) for network in self.networks], dim=1)
        total = self.networks[0].logits(tiles)
        for network in self.networks[1:]:
            total = total + network.logits(tiles)
        return total / len(self.networks)
