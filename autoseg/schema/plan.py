"""The plan: everything that preprocessing, training and prediction need to know."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from autoseg.schema.labels import LabelScheme
from autoseg.schema.names import name_fault
from autoseg.schema.orientation import Orientation
from autoseg.schema.plan_request import PlanRequest

MAX_STAGES, MAX_FEATURES, MAX_PATCH, MAX_BATCH = 16, 8192, 65536, 10**6


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A network by its numbers.

    Attributes:
        architecture: Name in the table of architectures.
        features: Channels per stage, finest first.
        kernel_sizes: Kernel per stage and axis.
        strides: Stride per stage and axis; in a transformer the first may be the size of a token.
        encoder_blocks: Convolutions, residual or transformer blocks per encoder stage.
        decoder_blocks: Convolutions per decoder level, coarsest first.
        heads: Attention heads per stage, of transformers.
        windows: Tokens that attend to each other, per stage and axis, of transformers.
    """

    architecture: str
    features: tuple[int, ...]
    kernel_sizes: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    encoder_blocks: tuple[int, ...]
    decoder_blocks: tuple[int, ...]
    heads: tuple[int, ...] = ()
    windows: tuple[tuple[int, ...], ...] = ()

    def faults(self) -> list[str]:
        """What is wrong with the network, in words."""
        stages = len(self.features)
        if not 1 <= stages <= MAX_STAGES or len(self.kernel_sizes) != stages:
            return [f"{stages} features and {len(self.kernel_sizes)} kernel_sizes"]
        faults = []
        sizes = (*self.kernel_sizes, *self.strides, self.features)
        if not all(1 <= size <= MAX_FEATURES for row in sizes for size in row):
            faults.append(f"features, kernels and strides are from 1 to {MAX_FEATURES}")
        blocks = (*self.encoder_blocks, *self.decoder_blocks)
        if not all(0 <= number <= MAX_FEATURES for number in blocks):
            faults.append(f"numbers of blocks are from 0 to {MAX_FEATURES}")
        if len({len(row) for row in (*self.kernel_sizes, *self.strides)}) != 1:
            faults.append("kernel_sizes and strides have different numbers of axes")
        return faults

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return len(self.kernel_sizes[0])

    @property
    def divisor(self) -> tuple[int, ...]:
        """What each axis of a patch must be divisible by."""
        result = [1] * self.dimensions
        for stride in self.strides:
            result = [have * step for have, step in zip(result, stride, strict=True)]
        return tuple(result)


@dataclass(frozen=True, kw_only=True)
class IntensityStatistics:
    """Foreground intensities of one channel over all cases, each case weighing the same."""

    mean: float
    median: float
    std: float
    minimum: float
    maximum: float
    percentile_00_5: float
    percentile_99_5: float


@dataclass(frozen=True, kw_only=True)
class ChannelPlan:
    """Normalisation of one channel.

    Attributes:
        name: Channel name of the data set.
        normalisation: Name in the table of normalisations.
        use_mask: Statistics from the non-zero mask only; outside stays 0.
        statistics: Foreground statistics of the training cases, used by CT.
    """

    name: str
    normalisation: str
    use_mask: bool
    statistics: IntensityStatistics | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How a network is trained.

    Attributes:
        loss: Name in the table of losses.
        batch_dice: Dice over the whole batch instead of per sample.
        deep_supervision: Losses at every decoder level but the coarsest.
        optimiser: sgd (Nesterov) or adamw.
        learning_rate: Highest learning rate.
        weight_decay: Weight decay.
        momentum: Momentum of SGD.
        schedule: Name in the table of learning rate schedules.
        epochs: Planned epochs; under a time budget an estimate that the clock corrects.
        steps_per_epoch: Optimiser steps per epoch.
        time_budget_s: Seconds that training may take, or None.
        foreground_fraction: Share of a batch whose patches are centred on foreground.
        augmentation: Name in the table of augmentations.
        mirror_axes: Patch axes that are mirrored in training and at test time.
        gradient_clip: Largest norm of the gradient.
        weight_average: Decay per step of the averaged weights that are used for prediction, or 0.
        sampling: How patches on foreground are drawn: "case" draws a case and then one of its
            classes, "class" a class of the data set and then a case that has it.
        dice_classes: Classes whose Dice counts in the loss: "all", or "present" for those that a
            batch has.
        target: Name in the table of targets: what a network learns from a case's raters.
    """

    loss: str
    batch_dice: bool
    deep_supervision: bool
    optimiser: Literal["sgd", "adamw"]
    learning_rate: float
    weight_decay: float
    momentum: float
    schedule: str
    epochs: int
    steps_per_epoch: int
    time_budget_s: float | None
    foreground_fraction: float
    augmentation: str
    mirror_axes: tuple[int, ...]
    gradient_clip: float
    weight_average: float
    sampling: Literal["case", "class"] = "case"
    dice_classes: Literal["all", "present"] = "all"
    target: str = "majority"

    def faults(self) -> list[str]:
        """What is wrong with the training, in words."""
        ranges = {
            "learning_rate": (0, 1e3),
            "weight_decay": (0, 1e3),
            "momentum": (0, 1),
            "epochs": (1, 10**9),
            "steps_per_epoch": (1, 10**9),
            "foreground_fraction": (0, 1),
            "gradient_clip": (0, math.inf),
            "weight_average": (0, 1),
        }
        faults = [
            f"{name} is {getattr(self, name)}, expected {low} to {high}"
            for name, (low, high) in ranges.items()
            if not low <= getattr(self, name) <= high
        ]
        if self.time_budget_s is not None and not 0 < self.time_budget_s < math.inf:
            faults.append(f"time_budget_s is {self.time_budget_s}, expected seconds above 0")
        return faults


@dataclass(frozen=True, kw_only=True)
class PreviousStage:
    """Predictions of other configurations that a network gets as input.

    Attributes:
        names: The configurations; the paths of a multi-path plan, or one lower resolution.
        kind: labels are added to the image as one-hot channels; so are image_labels, which were
            on the image's own grid before (nnU-Net's cascades); probabilities replace it.
    """

    names: tuple[str, ...]
    kind: Literal["labels", "image_labels", "probabilities"]

    def faults(self) -> list[str]:
        """What is wrong, in words: the names become those of folders."""
        found = (name_fault("the previous stage", name) for name in self.names)
        return [fault for fault in found if fault]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One network with its preprocessing and training.

    Attributes:
        name: 2d, 3d_fullres, …
        spacing_mm: Target spacing per axis of the transposed image (z, y, x); None keeps the
            spacing of the case along that axis.
        orientation: That of the training images; all cases are turned to it first. None leaves
            them as they are: two-dimensional images, and where nobody knows it.
        transpose: Axis order of the image inside, applied before everything else.
        channels: Normalisation per channel.
        labels: Label scheme.
        patch_size: Voxels per axis, two axes for 2d.
        batch_size: Patches per step.
        median_shape: Median shape of the cases at the target spacing.
        object_mm: Typical diameter of the smallest class's objects, or None where it is unknown.
        network: The network.
        training: The training.
        memory_bytes: Estimated memory of a training process.
        cache_bytes: What of it preprocessed cases may take that stay in memory.
        seed: Seed of all random numbers.
        num_slices: Neighbouring slices that a two-dimensional network sees as channels, odd; it
            labels the middle one.
        slice_axis: Axis of the transposed image along which slices are taken.
        slice_distance_mm: Distance of the neighbouring slices that the network sees, which are
            the nearest at that distance in each case; None takes the next ones.
        previous: Predictions of other configurations that the network gets, or None.
        tile_sums: Number format of the sums of overlapping tiles and of what is made of them;
            nnU-Net, whose models are read with it, rounds to float16.
        seen_spacing_mm: Smallest and largest spacing of the training images per axis of the
            transposed image, or nothing where they are not known.
    """

    name: str
    spacing_mm: tuple[float | None, ...]
    orientation: Orientation | None
    transpose: tuple[int, int, int]
    channels: tuple[ChannelPlan, ...]
    labels: LabelScheme
    patch_size: tuple[int, ...]
    batch_size: int
    median_shape: tuple[float, ...]
    object_mm: float | None
    network: NetworkSpec
    training: TrainingPlan
    memory_bytes: int
    seed: int
    cache_bytes: int = 2**30
    num_slices: int = 1
    slice_axis: int = 0
    slice_distance_mm: float | None = None
    previous: PreviousStage | None = None
    tile_sums: Literal["float32", "float16"] = "float32"
    seen_spacing_mm: tuple[tuple[float, float], ...] = ()

    def faults(self) -> list[str]:
        """What is wrong with the configuration, in words."""
        faults = []
        if fault := name_fault("name", self.name):
            faults.append(fault)
        dims = len(self.patch_size)
        if dims not in (2, 3) or not all(1 <= size <= MAX_PATCH for size in self.patch_size):
            faults.append(f"patch_size is {self.patch_size}, expected 2 or 3 sizes from 1 on")
        if dims != self.network.dimensions:
            faults.append(f"patch_size has {dims} axes, the network {self.network.dimensions}")
        if not 1 <= self.batch_size <= MAX_BATCH:
            faults.append(f"batch_size is {self.batch_size}, expected 1 to {MAX_BATCH}")
        if len(self.spacing_mm) != 3 or not all(
            step is None or (0 < step < math.inf) for step in self.spacing_mm
        ):
            faults.append(f"spacing_mm is {self.spacing_mm}, expected three steps above 0")
        if sorted(self.transpose) != [0, 1, 2]:
            faults.append(f"transpose is {self.transpose}, expected the axes 0, 1, 2 in an order")
        if self.slice_axis not in (0, 1, 2) or self.num_slices % 2 != 1 or self.num_slices < 1:
            faults.append(f"{self.num_slices} slices along axis {self.slice_axis}")
        if not self.channels:
            faults.append("channels is empty")
        return faults

    @property
    def dimensions(self) -> int:
        """2 where single slices are predicted, else 3."""
        return len(self.patch_size)

    @property
    def patch_axes(self) -> tuple[int, ...]:
        """Axes of the transposed image that the patch's axes are."""
        if self.dimensions == 3:
            return (0, 1, 2)
        return tuple(axis for axis in range(3) if axis != self.slice_axis)

    @property
    def in_channels(self) -> int:
        """Channels that the network sees."""
        image = len(self.channels) * self.num_slices
        if self.previous is None:
            return image
        if self.previous.kind == "probabilities":
            return len(self.previous.names) * self.labels.num_outputs
        return image + self.labels.num_indices - 1


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision of the planner, for people to read.

    Attributes:
        topic: What was decided.
        value: The result.
        reason: Why.
        configuration: Configuration that it is about, or None where it is about all.
        dropped: The configuration is not planned.
    """

    topic: str
    value: str
    reason: str
    configuration: str | None = None
    dropped: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All configurations for one data set and the reasons for them.

    Attributes:
        dataset: Name of the data set.
        planner: Planner that made it.
        file_ending: Ending of the data set's files.
        configurations: By name.
        decisions: What was decided and why.
        request: What the user asked for.
    """

    dataset: str
    planner: str
    file_ending: str
    configurations: dict[str, Configuration]
    decisions: tuple[Decision, ...]
    request: PlanRequest = field(default_factory=PlanRequest)
