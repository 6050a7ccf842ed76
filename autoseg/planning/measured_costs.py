"""What configurations cost on this machine: measured or traced once, then remembered."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache, partial

from autoseg.costs.step_time import measure_step_s
from autoseg.costs.training_memory import cached_bytes, training_footprint
from autoseg.planning.measures import measures_of, stage_bytes, stored_bytes
from autoseg.planning.network_size import work_of
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration

MEASURING_S = 30.0
"""Time for measuring steps; after it those of a known architecture are judged by their work."""


class MeasuredCosts:
    """Costs on this machine, as planners ask for them.

    Args:
        device: cpu, cuda or mps.
        dataset: The data set.
        fingerprint: Its fingerprint.
    """

    def __init__(self, device: str, dataset: Dataset, fingerprint: Fingerprint) -> None:
        self._device = device
        self._measures = cache(partial(measures_of, dataset, fingerprint))
        self._step_s: dict[Configuration, float] = {}
        self._own_bytes: dict[Configuration, int] = {}
        self._spent_s = 0.0

    def step_s(self, configuration: Configuration) -> float:
        """Seconds of a training step; equal networks, patches and batches are measured once."""
        key = _without_schedule(configuration)
        if key not in self._step_s:
            architecture = configuration.network.architecture
            known = [item for item in self._step_s if item.network.architecture == architecture]
            if known and self._spent_s > MEASURING_S:
                nearest = min(known, key=lambda item: abs(work_of(item) - work_of(key)))
                return self._step_s[nearest] * work_of(key) / work_of(nearest)
            begun = time.perf_counter()
            self._step_s[key] = measure_step_s(configuration, device=self._device)
            self._spent_s += time.perf_counter() - begun
        return self._step_s[key]

    def memory_bytes(self, configuration: Configuration) -> int:
        """Memory of the process that trains it."""
        key = _without_schedule(configuration)
        if key not in self._own_bytes:
            self._own_bytes[key] = training_footprint(configuration, self._device)
        if self._device != "cpu":
            return self._own_bytes[key]
        measures = self._measures(configuration.orientation)
        return self._own_bytes[key] + cached_bytes(
            stored_bytes(measures, configuration),
            stage_bytes(measures, configuration),
            configuration.cache_bytes,
        )


def _without_schedule(configuration: Configuration) -> Configuration:
    """The configuration without what changes neither the work nor the memory of a step."""
    training = replace(
        configuration.training, epochs=0, steps_per_epoch=0, time_budget_s=None, mirror_axes=()
    )
    return replace(
        configuration,
        name="",
        spacing_mm=(),
        median_shape=(),
        memory_bytes=0,
        cache_bytes=0,
        slice_axis=0,
        slice_distance_mm=None,
        training=training,
    )
