"""Drafts configurations: patch and batch by nnU-Net's rules, everything else around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from autoseg.planning.families import Family, find_family
from autoseg.planning.measures import Measures, median_shape
from autoseg.planning.network_size import feature_map_elements, training_memory_bytes
from autoseg.planning.planners.presets import Preset
from autoseg.planning.planners.request import Request
from autoseg.planning.topology import Topology, initial_patch, make_topology, shrink
from autoseg.preprocessing.normalisation import normalisation_for
from autoseg.preprocessing.store import CACHE_BYTES
from autoseg.schema.dataset import Dataset
from autoseg.schema.nnunet_training import nnunet_training
from autoseg.schema.orientation import Orientation
from autoseg.schema.plan import (
    ChannelPlan,
    Configuration,
    IntensityStatistics,
    NetworkSpec,
    TrainingPlan,
)

REFERENCE_BATCH = {2: 12, 3: 2}
MIN_BATCH = 2
MASK_BELOW = 0.75
"""Statistics come from the non-zero mask where the crop keeps less than this."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The cases at a target spacing.

    Attributes:
        spacing: Per axis of the transposed image.
        shape: Median shape of the cases.
        exact_shape: The same before rounding, for nnU-Net's bound of the batch.
    """

    spacing: tuple[float, ...]
    shape: tuple[float, ...]
    exact_shape: tuple[float, ...]


def make_grid(measures: Measures, spacing: Sequence[float], transpose: Sequence[int]) -> Grid:
    """The cases at a spacing (z, y, x), transposed."""
    shape = median_shape(measures, tuple(spacing))
    ordered = tuple(shape[axis] for axis in transpose)
    return Grid(
        spacing=tuple(spacing[axis] for axis in transpose), shape=ordered, exact_shape=ordered
    )


@dataclass(frozen=True, kw_only=True)
class Drafter:
    """What the configurations of a plan have in common.

    Attributes:
        dataset: The data set.
        measures: From the fingerprint.
        request: What the user asked for.
        preset: Network and reference numbers.
        transpose: Axis order.
        orientation: All cases are turned to it first; None leaves them as they are.
        mirrored: Axes of the transposed image that are mirrored.
        rare: Some classes are so small that patches and loss must care for them.
        device: cpu, cuda or mps.
    """

    dataset: Dataset
    measures: Measures
    request: Request
    preset: Preset
    transpose: tuple[int, int, int]
    orientation: Orientation | None = None
    mirrored: tuple[int, ...] = (0, 1, 2)
    rare: bool = False
    device: str = "cpu"

    def draft(
        self,
        name: str,
        grid: Grid,
        reference: float,
        *,
        architecture: str | None = None,
        width: int | None = None,
        slice_axis: int | None = None,
        num_slices: int = 1,
    ) -> Configuration:
        """Drafts a configuration.

        Args:
            name: Its name.
            grid: The cases at its spacing.
            reference: Feature map elements that fit the memory.
            architecture: The preset's where it is None.
            width: Features of the finest level, the family's where it is None.
            slice_axis: Axis along which slices are taken; None for three dimensions.
            num_slices: Slices that a two-dimensional network sees.
        """
        axes = tuple(axis for axis in range(3) if axis != slice_axis)
        topology, batch_size = self._sizes(grid, axes, reference)
        family = find_family(architecture or self.preset.family)
        network = family.spec(topology, width or family.width, True)
        training = self._training(family, axes)
        drafted = self._assemble(name, grid, axes, topology.patch_size, network, training)
        if slice_axis is not None:
            drafted = _in_slices(drafted, slice_axis, num_slices)
        memory_bytes = training_memory_bytes(replace(drafted, batch_size=batch_size), self.device)
        return replace(drafted, batch_size=batch_size, memory_bytes=memory_bytes)

    def _assemble(
        self,
        name: str,
        grid: Grid,
        axes: Sequence[int],
        patch_size: tuple[int, ...],
        network: NetworkSpec,
        training: TrainingPlan,
    ) -> Configuration:
        """A configuration of what was chosen for it and of what all have in common."""
        return Configuration(
            name=name,
            spacing_mm=grid.spacing,
            orientation=self.orientation,
            transpose=self.transpose,
            channels=self.channels(),
            labels=self.dataset.labels,
            patch_size=patch_size,
            batch_size=MIN_BATCH,
            median_shape=tuple(grid.shape[axis] for axis in axes),
            object_mm=self.measures.object_mm,
            network=network,
            training=training,
            memory_bytes=0,
            cache_bytes=CACHE_BYTES,
            seed=self.request.seed,
            seen_spacing_mm=self._seen_spacing_mm(),
        )

    def _seen_spacing_mm(self) -> tuple[tuple[float, float], ...]:
        """Smallest and largest spacing of the cases, per axis of the transposed image."""
        by_axis = [[case[axis] for case in self.measures.spacings] for axis in self.transpose]
        return tuple((min(steps), max(steps)) for steps in by_axis)

    def _training(self, family: Family, axes: Sequence[int]) -> TrainingPlan:
        """nnU-Net's training with what the data, the recipe and the architecture change."""
        training = nnunet_training(self.dataset.labels, len(axes))
        recipe = self.request.recipe
        if recipe is not None and recipe.foreground_fraction is not None:
            training = replace(training, foreground_fraction=recipe.foreground_fraction)
        if self.rare:
            training = replace(training, sampling="class", dice_classes="present")
        mirror_axes = tuple(position for position, axis in enumerate(axes) if axis in self.mirrored)
        return replace(family.training(training), mirror_axes=mirror_axes)

    def channels(self) -> tuple[ChannelPlan, ...]:
        """Normalisation of every channel."""
        use_mask = self.measures.relative_size_after_crop < MASK_BELOW
        recipe = self.request.recipe
        named = recipe.channels if recipe else {}
        return tuple(
            plan_channel(
                channel,
                named.get(channel) or normalisation_for(channel),
                statistics,
                use_mask=use_mask,
            )
            for channel, statistics in zip(
                self.dataset.channel_names, self.measures.intensities, strict=True
            )
        )

    def _sizes(self, grid: Grid, axes: Sequence[int], reference: float) -> tuple[Topology, int]:
        """Patch and batch: the patch shrinks until it fits, then the batch fills the memory."""
        spacing = [grid.spacing[axis] for axis in axes]
        shape = [grid.shape[axis] for axis in axes]
        preset, dims = self.preset, len(axes)
        family = find_family(preset.family)
        topology = make_topology(spacing, initial_patch(spacing, shape))
        batch = REFERENCE_BATCH[dims]

        def estimate(candidate: Topology) -> float:
            spec = family.spec(candidate, family.width, True)
            return feature_map_elements(spec, candidate.patch_size, self.measures.num_label_names)

        needed = estimate(topology)
        divisor = 1.0 if preset.shrink_per_reference_batch else batch / 2
        while needed / divisor > reference:
            smaller = shrink(topology, spacing, shape)
            if smaller is None:
                break
            topology = smaller
            needed = estimate(topology)
        voxels = float(np.prod(grid.exact_shape)) * self.measures.num_cases
        cap = round(voxels * preset.share_of_dataset / float(np.prod(topology.patch_size)))
        return topology, max(min(round(reference / needed * batch), cap), MIN_BATCH)


def _in_slices(configuration: Configuration, axis: int, num_slices: int) -> Configuration:
    """The configuration with slices, which are never resampled among each other."""
    spacing = configuration.spacing_mm
    return replace(
        configuration,
        spacing_mm=(*spacing[:axis], None, *spacing[axis + 1 :]),
        num_slices=num_slices,
        slice_axis=axis,
        slice_distance_mm=None if num_slices == 1 else spacing[axis],
    )


def plan_channel(
    name: str, normalisation: str, statistics: IntensityStatistics, *, use_mask: bool
) -> ChannelPlan:
    """Normalisation of one channel."""
    return ChannelPlan(
        name=name,
        normalisation=normalisation,
        use_mask=use_mask and normalisation == "zscore",
        statistics=statistics if normalisation == "ct" else None,
    )
