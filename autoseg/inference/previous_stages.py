"""What networks get: the preprocessed image, with what earlier stages predict for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from autoseg.inference.network import LoadedNetwork
from autoseg.inference.network_source import NetworkSource
from autoseg.inference.streaming import decisions
from autoseg.inference.streaming.label_map import (
    Part,
    assemble_labels,
    assemble_probabilities,
    find_windows,
)
from autoseg.inference.streaming.tile_stream import NetworkInput
from autoseg.preprocessing.case import PreprocessedCase, to_grid, to_image, with_image_labels
from autoseg.preprocessing.slices import slice_step
from autoseg.preprocessing.store import store_key
from autoseg.schema.plan import Configuration

Cases = Mapping[str, PreprocessedCase]
"""A case as each configuration preprocesses it, by `store_key`."""


@dataclass(frozen=True, kw_only=True)
class CaseWork:
    """A case, and what its stages share while it is predicted.

    Attributes:
        cases: The case.
        memory_bytes: What sums of tiles may take, or None.
        half_sums: Round sums as the plan says; otherwise they are float32, which cannot overflow.
        known: Predictions of earlier stages that are there already: folds share them.
    """

    cases: Cases
    memory_bytes: int | None = None
    half_sums: bool = True
    known: dict[tuple[object, ...], npt.NDArray[np.generic]] = field(default_factory=dict)


def network_source(networks: Sequence[LoadedNetwork], work: CaseWork) -> NetworkSource:
    """What networks with the same preprocessing say of a case, earlier stages included."""
    inputs: dict[tuple[int, ...], NetworkInput] = {}
    pairs = []
    for network in networks:
        shared = tuple(id(item) for stage in network.previous for item in stage)
        if shared not in inputs:
            inputs[shared] = _network_input(network, work)
        pairs.append((network, inputs[shared]))
    return NetworkSource(pairs, half_sums=work.half_sums)


def _network_input(network: LoadedNetwork, work: CaseWork) -> NetworkInput:
    configuration, device = network.configuration, network.device
    case = work.cases[network.key]
    if configuration.previous is None:
        spacing_mm = case.trace.target_mm[configuration.slice_axis]
        step = slice_step(spacing_mm, configuration.slice_distance_mm)
        return NetworkInput(image=_tensor(case.image, device), slice_step=step)
    extra = stage_input(configuration, network.previous, work)
    if configuration.previous.kind == "probabilities":
        return NetworkInput(image=_tensor(extra.astype(np.float32), device))
    image, labels = case.image, extra[0]
    if configuration.previous.kind == "image_labels":
        image, labels = with_image_labels(case, labels, configuration)
    return NetworkInput(
        image=_tensor(image, device),
        labels=_tensor(labels.astype(np.int16), device),
        num_indices=configuration.labels.num_indices,
    )


def stage_input(
    configuration: Configuration, previous: Sequence[Sequence[LoadedNetwork]], work: CaseWork
) -> npt.NDArray[np.generic]:
    """What a network gets from its earlier stages, on its own grid (image_labels: the image's).

    Args:
        configuration: The network's.
        previous: Networks of each stage; those of one stage are averaged.
        work: The case.

    Returns:
        [1, z, y, x] label indices, or [stages * outputs, z, y, x] probabilities.
    """
    stage = configuration.previous
    assert stage is not None
    parts = []
    for group in previous:
        key = (store_key(configuration), *map(id, group))
        if key not in work.known:
            work.known[key] = _one_stage(configuration, group, work)
        parts.append(work.known[key])
    if stage.kind == "probabilities":
        return np.concatenate(parts)
    return parts[0][None]


def _one_stage(
    configuration: Configuration, group: Sequence[LoadedNetwork], work: CaseWork
) -> npt.NDArray[np.generic]:
    stage, scheme = configuration.previous, configuration.labels
    assert stage is not None
    here, target = work.cases[group[0].key].trace, work.cases[store_key(configuration)].trace
    on_image = stage.kind == "image_labels"
    part = Part(
        source=network_source(group, work),
        restoration=to_image(here) if on_image else to_grid(here, target),
    )
    windows = find_windows([part], scheme, work.memory_bytes)
    table = decisions.label_indices(scheme)
    if stage.kind == "probabilities":
        found = np.zeros((scheme.num_outputs, *target.shape), dtype=np.float32)
        assemble_probabilities([part], scheme, table, windows, found)
        return found
    return assemble_labels(part, scheme, table, windows)


def _tensor(array: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
