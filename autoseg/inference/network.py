"""Loaded networks, and what those with the same preprocessing say of a case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from autoseg.architectures import HasHead
from autoseg.costs.prediction_memory import forward_bytes
from autoseg.errors import UsageError
from autoseg.inference.execution import Choice, choose
from autoseg.inference.models import Model
from autoseg.inference.streaming.mirroring import mirrored
from autoseg.inference.streaming.tile_stream import Tiling
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
