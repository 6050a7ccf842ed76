"""Loaded networks, and what those with the same preprocessing say of a case."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from autoseg.architectures import HasHead
from autoseg.costs.prediction_memory import forward_bytes
from autoseg.errors import UsageError
from autoseg.inference.execution import Choice, choose
from autoseg.inference.mirroring import mirrored
from autoseg.inference.models import Model
from autoseg.inference.restore import Head
from autoseg.inference.stream import Box, NetworkInput, Schedule, TileStream, Tiling
from autoseg.preprocessing.store import store_key


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to predict.

    Attributes:
        mirroring: Average over the plan's mirrored axes.
        step: Distance of neighbouring tiles as a share of the tile.
        device: cpu, cuda or mps.
        memory_bytes: What the process may take, or None for what it needs.
        precision: Number format, see `execution.choose`.
    """

    mirroring: bool = True
    step: float = 0.5
    device: str = "cpu"
    memory_bytes: int | None = None
    precision: Choice = "auto"


class SumsOverflowError(ArithmeticError):
    """Sums of tiles do not fit their number format."""


class LoadedNetwork:
    """A network on its device, with those of its earlier stages.

    Args:
        model: What to load.
        options: How to predict.
        loaded: Networks that are loaded already, by file.
    """

    def __init__(self, model: Model, options: Options, loaded: dict[Path, LoadedNetwork]) -> None:
        self.configuration = model.checkpoint.configuration
        self.key = store_key(self.configuration)
        self.device = torch.device(options.device)
        build = model.checkpoint.build
        self.execution = choose(build, self.configuration, self.device, options.precision)
        module = build()
        self.head: nn.Module | None = None
        if isinstance(module, HasHead):
            self.head = module.detach_head().to(self.device)
        self.module = self.execution.prepare(module, self.device, self.configuration.dimensions)
        self.mirror_axes = self.configuration.training.mirror_axes if options.mirroring else ()
        self.tiling = Tiling(
            tile=self.configuration.patch_size,
            step=options.step,
            num_slices=self.configuration.num_slices,
            slice_axis=self.configuration.slice_axis,
        )
        self.previous = tuple(
            tuple(load_network(item, options, loaded) for item in stage) for stage in model.previous
        )
        stage = self.configuration.previous
        if stage is not None and len(self.previous) != len(stage.names):
            raise UsageError(
                f"The model {self.configuration.name} needs those of {', '.join(stage.names)}. "
                "Name its run's folder in a workspace instead of giving it alone."
            )

        for name, group in zip(stage.names if stage else (), self.previous, strict=True):
            if len({network.key for network in group}) > 1:
                raise UsageError(
                    f"The folds of {name} were trained on differently preprocessed images and "
                    "cannot be averaged. Train them with the same plan."
                )

    @property
    def half_sums(self) -> bool:
        """Whether tiles are summed in half precision, where logits are kept and not features."""
        few = self.num_features is None or self.configuration.labels.num_outputs < self.num_features
        return self.configuration.tile_sums == "float16" and few

    @property
    def num_features(self) -> int | None:
        """Channels before the head, or None where it cannot be taken away."""
        return None if self.head is None else int(self.head.in_channels)  # type: ignore[arg-type]

    def needed(self) -> Iterator[LoadedNetwork]:
        """This network and all that it needs."""
        yield self
        for stage in self.previous:
            for network in stage:
                yield from network.needed()

    def forward_bytes(self, together: int) -> int:
        """Memory of a pass through the network, one of so many that are averaged, and its stages'.

        The largest of all, for they run one after the other.
        """
        outputs = self.configuration.labels.num_outputs
        headless = self.num_features is not None and self.num_features * together < outputs
        own = forward_bytes(self.configuration, self.tiling.together, headless=headless)
        earlier = (item.forward_bytes(len(stage)) for stage in self.previous for item in stage)
        return max(own, *earlier, 0)

    def features(self, tiles: Tensor) -> Tensor:
        """Features of [b, c, *space] where the head was taken away, else logits; mirrored."""
        return mirrored(self._run, self.mirror_axes)(tiles)

    def logits(self, tiles: Tensor) -> Tensor:
        """Logits of [b, c, *space]; mirrored."""
        features = self.features(tiles).float()
        return features if self.head is None else self.head(features)

    def _run(self, tiles: Tensor) -> Tensor:
        return self.execution.run(self.module, tiles)


def load_network(
    model: Model, options: Options, loaded: dict[Path, LoadedNetwork]
) -> LoadedNetwork:
    """Loads a model, or takes it where its file was loaded before."""
    if model.source is None:
        return LoadedNetwork(model, options, loaded)
    if model.source not in loaded:
        loaded[model.source] = LoadedNetwork(model, options, loaded)
    return loaded[model.source]


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
