"""nnU-Net's planning rules, number by number (versions 2.3 to 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autoseg.errors import InputError, UnknownNameError
from autoseg.planning.budget import Budget
from autoseg.planning.memory import feature_map_elements, training_memory_bytes
from autoseg.planning.planners.request import (
    CONFIGURATIONS,
    Measures,
    Request,
    measures_of,
    median_shape,
)
from autoseg.planning.topology import Topology, initial_patch, make_topology, shrink
from autoseg.preprocessing.normalisation import normalisation_for
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import (
    ChannelPlan,
    Configuration,
    Decision,
    NetworkSpec,
    Plan,
    TrainingPlan,
)

ANISOTROPY = 3
BASE_FEATURES = 32
MAX_FEATURES = {2: 512, 3: 320}
REFERENCE_BATCH = {2: 12, 3: 2}
MIN_BATCH = 2
MASK_BELOW = 0.75
"""Statistics come from the non-zero mask where the crop keeps less than this."""
GIGABYTE = 2**30
RESIDUAL_BLOCKS = (1, 3, 4, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One of nnU-Net's planners by its numbers.

    Attributes:
        architecture: Name in the table of architectures.
        reference: Dimensions → feature map elements that fit `reference_gb`.
        reference_gb: GPU memory for which the reference was measured.
        share_of_dataset: Largest share of the data set's voxels that a batch may hold.
        shrink_per_reference_batch: Whether the patch shrinks until the reference batch fits
            (residual) or until two patches do (plain).
    """

    architecture: str
    reference: dict[int, float]
    reference_gb: float
    share_of_dataset: float
    shrink_per_reference_batch: bool


PRESETS = {
    "plain": Preset(
        architecture="plain_unet",
        reference={3: 560e6, 2: 85e6},
        reference_gb=8,
        share_of_dataset=0.05,
        shrink_per_reference_batch=False,
    ),
    "M": Preset(
        architecture="residual_unet",
        reference={3: 680e6, 2: 135e6},
        reference_gb=8,
        share_of_dataset=1.0,
        shrink_per_reference_batch=True,
    ),
    "L": Preset(
        architecture="residual_unet",
        reference={3: 2.1e9, 2: 380e6},
        reference_gb=24,
        share_of_dataset=1.0,
        shrink_per_reference_batch=True,
    ),
    "XL": Preset(
        architecture="residual_unet",
        reference={3: 3.6e9, 2: 560e6},
        reference_gb=40,
        share_of_dataset=1.0,
        shrink_per_reference_batch=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Patch, batch and network of a configuration.

    Attributes:
        topology: Strides, kernels and patch.
        network: The network.
        batch_size: Patches per step.
    """

    topology: Topology
    network: NetworkSpec
    batch_size: int


def plan_nnunet(
    dataset: Dataset, fingerprint: Fingerprint, budget: Budget, request: Request
) -> Plan:
    """Plans as nnU-Net does; the budget's memory only sizes the residual presets' notes.

    Raises:
        InputError: A configuration that was asked for does not fit the data.
        UnknownNameError: A configuration or network is unknown.
    """
    network = request.network or "plain"
    if network not in PRESETS:
        raise UnknownNameError("network", network, PRESETS)
    preset = PRESETS[network]
    measures = measures_of(dataset, fingerprint, canonical=False)
    spacing, spacing_reason = target_spacing(measures)
    transpose = transposition(spacing)
    decisions = [
        Decision(topic="network", value=network, reason="preset of the planner"),
        Decision(topic="target spacing", value=_text(spacing), reason=spacing_reason),
        Decision(
            topic="transposition",
            value=str(transpose),
            reason="the axis with the largest spacing comes first",
        ),
    ]
    configurations = {}
    for name in wanted_configurations(measures, request, decisions):
        dims = 2 if name == "2d" else 3
        sizes = plan_sizes(measures, spacing, transpose, dims, preset, preset.reference[dims])
        configurations[name] = assemble(
            name,
            dataset,
            measures,
            spacing,
            transpose,
            sizes,
            nnunet_training(dataset, dims),
            seed=request.seed,
        )
        decisions.append(
            Decision(
                topic=f"{name}: patch, batch",
                value=f"{sizes.topology.patch_size}, {sizes.batch_size}",
                reason=f"fits {preset.reference_gb:g} GB by nnU-Net's estimate",
            )
        )
    return Plan(
        dataset=dataset.name,
        planner="nnunet",
        file_ending=dataset.file_ending,
        configurations=configurations,
        decisions=tuple(decisions),
    )


def wanted_configurations(
    measures: Measures, request: Request, decisions: list[Decision]
) -> list[str]:
    """Names of the configurations to plan; 3D is dropped, with its reason, for 2D images."""
    for name in request.configurations:
        if name not in CONFIGURATIONS:
            raise UnknownNameError("configuration", name, CONFIGURATIONS)
    is_flat = all(shape[0] == 1 for shape in measures.shapes)
    if not is_flat:
        return [
            name for name in CONFIGURATIONS if name in (request.configurations or CONFIGURATIONS)
        ]
    if request.configurations and "2d" not in request.configurations:
        raise InputError("The images are two-dimensional: only --configurations 2d fits them.")
    decisions.append(
        Decision(topic="3d_fullres", value="dropped", reason="the images are two-dimensional")
    )
    return ["2d"]


def target_spacing(measures: Measures) -> tuple[tuple[float, ...], str]:
    """Median spacing; the 10th percentile along a coarse axis of anisotropic data.

    Returns:
        Spacing (z, y, x) before transposition, and the reason.
    """
    spacings = np.array(measures.spacings)
    target = np.percentile(spacings, 50, axis=0)
    sizes = np.percentile(np.array(measures.shapes), 50, axis=0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    coarse = target[worst] > ANISOTROPY * target[others].max()
    thin = sizes[worst] * ANISOTROPY < sizes[others].min()
    reason = "median of the cases"
    if coarse and thin:
        value = np.percentile(spacings[:, worst], 10)
        if value < target[others].max():
            value = max(target[others].max(), value) + 1e-5
        target[worst] = value
        reason += "; 10th percentile along the coarse axis"
    return tuple(float(value) for value in target), reason


def transposition(spacing: Sequence[float]) -> tuple[int, int, int]:
    """The axis with the largest spacing first, the others in their order."""
    first = int(np.argmax(spacing))
    rest = [axis for axis in range(3) if axis != first]
    return first, rest[0], rest[1]


def build_spec(
    topology: Topology, preset: Preset, *, base_features: int = BASE_FEATURES
) -> NetworkSpec:
    """Network for a topology: features double per stage up to a limit."""
    dims = len(topology.patch_size)
    stages = len(topology.strides)
    is_residual = preset.architecture == "residual_unet"
    return NetworkSpec(
        architecture=preset.architecture,
        features=tuple(
            min(MAX_FEATURES[dims], base_features * 2**stage) for stage in range(stages)
        ),
        kernel_sizes=topology.kernel_sizes,
        strides=topology.strides,
        encoder_blocks=RESIDUAL_BLOCKS[:stages] if is_residual else (2,) * stages,
        decoder_blocks=(1 if is_residual else 2,) * (stages - 1),
    )


def plan_sizes(
    measures: Measures,
    spacing: Sequence[float],
    transpose: Sequence[int],
    dims: int,
    preset: Preset,
    reference: float,
) -> Sizes:
    """Patch and batch: the patch shrinks until it fits, then the batch fills the memory.

    Args:
        measures: From the fingerprint.
        spacing: Target spacing before transposition.
        transpose: Axis order.
        dims: 2 or 3.
        preset: Network and its reference numbers.
        reference: Feature map elements that fit.
    """
    shape = median_shape(measures, tuple(spacing))
    ordered_shape = [shape[axis] for axis in transpose]
    ordered_spacing = [spacing[axis] for axis in transpose]
    in_plane_spacing, in_plane_shape = ordered_spacing[-dims:], ordered_shape[-dims:]
    topology = make_topology(in_plane_spacing, initial_patch(in_plane_spacing, in_plane_shape))
    batch = REFERENCE_BATCH[dims]

    def estimate(candidate: Topology) -> float:
        spec = build_spec(candidate, preset)
        return feature_map_elements(spec, candidate.patch_size, measures.num_label_names)

    needed = estimate(topology)
    divisor = 1.0 if preset.shrink_per_reference_batch else batch / 2
    while needed / divisor > reference:
        smaller = shrink(topology, in_plane_spacing, in_plane_shape)
        if smaller is None:
            break
        topology = smaller
        needed = estimate(topology)
    voxels = float(np.prod(ordered_shape)) * measures.num_cases
    cap = round(voxels * preset.share_of_dataset / float(np.prod(topology.patch_size)))
    batch_size = max(min(round(reference / needed * batch), cap), MIN_BATCH)
    return Sizes(topology=topology, network=build_spec(topology, preset), batch_size=batch_size)


def nnunet_training(dataset: Dataset, dims: int) -> TrainingPlan:
    """nnU-Net's training: 1000 epochs of 250 steps of SGD."""
    return TrainingPlan(
        loss="dice_binary_cross_entropy" if dataset.labels.has_regions else "dice_cross_entropy",
        batch_dice=dims == 2,
        deep_supervision=True,
        optimiser="sgd",
        learning_rate=0.01,
        weight_decay=3e-5,
        momentum=0.99,
        schedule="poly",
        epochs=1000,
        steps_per_epoch=250,
        time_budget_s=None,
        foreground_fraction=0.33,
        augmentation="standard",
        mirror_axes=tuple(range(dims)),
        gradient_clip=12.0,
        weight_average=0.0,
    )


def assemble(
    name: str,
    dataset: Dataset,
    measures: Measures,
    spacing: Sequence[float],
    transpose: tuple[int, int, int],
    sizes: Sizes,
    training: TrainingPlan,
    *,
    seed: int,
    canonical: bool = False,
) -> Configuration:
    """Puts a configuration together."""
    ordered = [spacing[axis] for axis in transpose]
    shape = median_shape(measures, tuple(spacing))
    ordered_shape = tuple(shape[axis] for axis in transpose)
    dims = len(sizes.topology.patch_size)
    # Slices are never resampled among each other; where that changes nothing, the 3D spacing
    # stands here, so that 2D and 3D share their preprocessed cases.
    first = {case[transpose[0]] for case in measures.spacings}
    keeps_slices = dims == 2 and any(abs(value - ordered[0]) > 1e-6 for value in first)
    use_mask = measures.relative_size_after_crop < MASK_BELOW
    channels = []
    for index, channel in enumerate(dataset.channel_names):
        normalisation = normalisation_for(channel)
        channels.append(
            ChannelPlan(
                name=channel,
                normalisation=normalisation,
                use_mask=use_mask and normalisation == "zscore",
                statistics=measures.intensities[index] if normalisation == "ct" else None,
            )
        )
    return Configuration(
        name=name,
        spacing_mm=(None if keeps_slices else ordered[0], *ordered[1:]),
        orientation="LPS" if canonical else None,
        transpose=transpose,
        channels=tuple(channels),
        labels=dataset.labels,
        patch_size=sizes.topology.patch_size,
        batch_size=sizes.batch_size,
        median_shape=ordered_shape[-dims:],
        object_mm=measures.object_mm,
        network=sizes.network,
        training=training,
        memory_bytes=training_memory_bytes(
            sizes.network,
            sizes.topology.patch_size,
            sizes.batch_size,
            len(dataset.channel_names),
            dataset.labels.num_outputs,
        ),
        seed=seed,
    )


def _text(values: Sequence[float]) -> str:
    return " × ".join(f"{value:.4g}" for value in values) + " mm"
