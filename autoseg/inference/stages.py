"""What networks get: the preprocessed image, with what earlier stages predict for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from autoseg.inference import restore
from autoseg.inference.assemble import (
    Part,
    assemble_labels,
    assemble_probabilities,
    find_windows,
)
from autoseg.inference.network import LoadedNetwork, NetworkSource
from autoseg.inference.stream import NetworkInput
from autoseg.preprocessing.case import PreprocessedCase, previous_labels, to_grid, to_image
from autoseg.preprocessing.store import store_key
from autoseg.schema.plan import Configuration

Cases = Mapping[str, PreprocessedCase]
"""A case as each configuration preprocesses it, by `store_key`."""
Known = dict[tuple[object, ...], npt.NDArray[np.generic]]
"""Predictions of earlier stages for a case that are there already: folds share them."""


def network_source(
    networks: Sequence[LoadedNetwork], cases: Cases, known: Known, memory_bytes: int | None
) -> NetworkSource:
    """What networks with the same preprocessing say of a case, earlier stages included.

    Args:
        networks: The networks.
        cases: The case.
        known: Filled in.
        memory_bytes: What sums of tiles may take, or None.
    """
    inputs: dict[tuple[int, ...], NetworkInput] = {}
    pairs = []
    for network in networks:
        shared = tuple(id(item) for stage in network.previous for item in stage)
        if shared not in inputs:
            inputs[shared] = _network_input(network, cases, known, memory_bytes)
        pairs.append((network, inputs[shared]))
    return NetworkSource(pairs)


def _network_input(
    network: LoadedNetwork, cases: Cases, known: Known, memory_bytes: int | None
) -> NetworkInput:
    configuration, device = network.configuration, network.device
    image = cases[network.key].image
    if configuration.previous is None:
        return NetworkInput(image=_tensor(image, device))
    extra = stage_input(configuration, network.previous, cases, known, memory_bytes)
    if configuration.previous.kind == "probabilities":
        return NetworkInput(image=_tensor(extra.astype(np.float32), device))
    return NetworkInput(
        image=_tensor(image, device),
        labels=_tensor(extra[0].astype(np.int16), device),
        num_indices=configuration.labels.num_indices,
    )


def stage_input(
    configuration: Configuration,
    previous: Sequence[Sequence[LoadedNetwork]],
    cases: Cases,
    known: Known,
    memory_bytes: int | None = None,
) -> npt.NDArray[np.generic]:
    """What a network gets from its earlier stages, on its own grid.

    Args:
        configuration: The network's.
        previous: Networks of each stage; those of one stage are averaged.
        cases: The case.
        known: Filled in.
        memory_bytes: What sums of tiles may take, or None.

    Returns:
        [1, z, y, x] label indices, or [stages * outputs, z, y, x] probabilities.
    """
    stage = configuration.previous
    assert stage is not None
    parts = []
    for group in previous:
        key = (store_key(configuration), *map(id, group))
        if key not in known:
            known[key] = _one_stage(configuration, group, cases, known, memory_bytes)
        parts.append(known[key])
    if stage.kind == "probabilities":
        return np.concatenate(parts)
    return parts[0][None]


def _one_stage(
    configuration: Configuration,
    group: Sequence[LoadedNetwork],
    cases: Cases,
    known: Known,
    memory_bytes: int | None,
) -> npt.NDArray[np.generic]:
    stage, scheme = configuration.previous, configuration.labels
    assert stage is not None
    here, target = cases[group[0].key].trace, cases[store_key(configuration)].trace
    on_image = stage.kind == "image_labels"
    part = Part(
        source=network_source(group, cases, known, memory_bytes),
        restoration=to_image(here) if on_image else to_grid(here, target),
    )
    windows = find_windows([part], scheme, memory_bytes)
    table = restore.indices_of_winners(scheme)
    if stage.kind == "probabilities":
        found = np.zeros((scheme.num_outputs, *target.shape), dtype=np.float32)
        assemble_probabilities([part], scheme, table, windows, found)
        return found
    labels = assemble_labels(part, scheme, table, windows)
    return previous_labels(labels, target) if on_image else labels


def _tensor(array: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
