"""Loaded networks: logits of preprocessed cases, earlier stages included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autoseg.errors import UsageError
from autoseg.inference.models import Model
from autoseg.inference.sliding_window import mirrored, sliding_window
from autoseg.precision import Precision, memory_format
from autoseg.preprocessing.case import CaseTrace, PreprocessedCase, one_hot, transfer
from autoseg.preprocessing.store import store_key
from autoseg.schema.labels import LabelScheme
from autoseg.schema.plan import Configuration

Floats = npt.NDArray[np.float32]
Known = dict[tuple[int, ...], Floats]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to predict.

    Attributes:
        mirroring: Average over the plan's mirrored axes.
        step: Distance of neighbouring tiles as a share of the tile.
        device: cpu, cuda or mps.
    """

    mirroring: bool = True
    step: float = 0.5
    device: str = "cpu"


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
        self.options = options
        self.device = torch.device(options.device)
        self.precision = Precision(self.device)
        self.layout = memory_format(self.device, self.configuration.dimensions)
        self.module = model.checkpoint.build().to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
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

    def needed(self) -> Iterator[LoadedNetwork]:
        """This network and all that it needs."""
        yield self
        for stage in self.previous:
            for network in stage:
                yield from network.needed()

    @torch.inference_mode()
    def logits(self, cases: Mapping[str, PreprocessedCase], known: Known) -> Tensor:
        """Logits of a case.

        Args:
            cases: The case as each configuration preprocesses it, by `store_key`.
            known: Logits of earlier stages for this case that are computed already; filled in.

        Returns:
            [outputs, z, y, x] on the grid of this network's configuration.
        """
        case = cases[self.key]
        image = case.image
        if self.configuration.previous is not None:
            extra = stage_input(self.configuration, self.previous, cases, known)
            if self.configuration.previous.kind == "labels":
                masks = one_hot(extra[0], self.configuration.labels.num_indices)
                image = np.concatenate((image, masks.astype(np.float32)))
            else:
                image = extra.astype(np.float32)
        axes = self.configuration.training.mirror_axes if self.options.mirroring else ()
        return sliding_window(
            mirrored(self._run, axes) if axes else self._run,
            torch.from_numpy(np.ascontiguousarray(image)).to(self.device),
            self.configuration.patch_size,
            self.configuration.labels.num_outputs,
            step=self.options.step,
            num_slices=self.configuration.num_slices,
            slice_axis=self.configuration.slice_axis,
        )

    def _run(self, tiles: Tensor) -> Tensor:
        with self.precision.autocast():
            logits: Tensor = self.module(tiles.contiguous(memory_format=self.layout))[0]
        return logits


def load_network(
    model: Model, options: Options, loaded: dict[Path, LoadedNetwork]
) -> LoadedNetwork:
    """Loads a model, or takes it where its file was loaded before."""
    if model.source is None:
        return LoadedNetwork(model, options, loaded)
    if model.source not in loaded:
        loaded[model.source] = LoadedNetwork(model, options, loaded)
    return loaded[model.source]


def stage_input(
    configuration: Configuration,
    previous: Sequence[Sequence[LoadedNetwork]],
    cases: Mapping[str, PreprocessedCase],
    known: Known,
) -> npt.NDArray[np.generic]:
    """What a network gets from its earlier stages, on its own grid.

    Args:
        configuration: The network's.
        previous: Networks of each stage; those of one stage are averaged.
        cases: The case as each configuration preprocesses it, by `store_key`.
        known: Logits of stages for this case that are computed already; filled in.

    Returns:
        [1, z, y, x] label indices, or [stages * outputs, z, y, x] probabilities.
    """
    stage = configuration.previous
    assert stage is not None
    scheme = configuration.labels
    target = cases[store_key(configuration)].trace
    parts = []
    for group in previous:
        name = tuple(map(id, group))  # several folds of a cascade share their first stage
        if name not in known:
            known[name] = mean_logits(group, cases, known)
        parts.append(_to_grid(known[name], cases[group[0].key].trace, target))
    if stage.kind == "labels":
        return to_indices(parts[0], scheme)[None]
    return np.concatenate([to_probabilities(part, scheme) for part in parts])


@torch.inference_mode()
def mean_logits(
    group: Sequence[LoadedNetwork], cases: Mapping[str, PreprocessedCase], known: Known
) -> Floats:
    """Mean logits of networks with the same preprocessing: [outputs, z, y, x]."""
    total = group[0].logits(cases, known)
    for network in group[1:]:
        total = total.add_(network.logits(cases, known))
    result: Floats = (total / len(group)).cpu().numpy()
    return result


def _to_grid(logits: Floats, source: CaseTrace, target: CaseTrace) -> Floats:
    same = source.axes == target.axes and source.flips == target.flips
    if same and source.shape == target.shape:
        return logits
    return transfer(logits, source, target)


def to_indices(logits: Floats, scheme: LabelScheme) -> npt.NDArray[np.uint8 | np.uint16]:
    """Label indices of logits: [z, y, x]."""
    dtype = np.uint8 if scheme.num_indices < 256 else np.uint16
    if scheme.regions_order is None:
        best: npt.NDArray[np.uint8 | np.uint16] = logits.argmax(axis=0).astype(dtype)
        return best
    painted = np.zeros(logits.shape[1:], dtype=dtype)
    position = {value: index + 1 for index, value in enumerate(scheme.foreground_values)}
    for channel, value in zip(logits, scheme.regions_order, strict=True):
        painted[channel > 0] = position.get(value, 0)
    return painted


def to_probabilities(logits: Floats, scheme: LabelScheme) -> Floats:
    """Softmax, or sigmoid of regions: same shape as the logits."""
    tensor = torch.from_numpy(logits)
    result: Floats = (tensor.sigmoid() if scheme.has_regions else tensor.softmax(0)).numpy()
    return result
