"""nnU-Net's plans.json and dataset.json as a Configuration of ours (nnU-Net 2.0 to 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoseg.datasets.label_table import read_labels
from autoseg.errors import InputError
from autoseg.interop.fields import Fields
from autoseg.schema.labels import LabelScheme
from autoseg.schema.nnunet_training import nnunet_training
from autoseg.schema.orientation import ORIENTATIONS, Orientation
from autoseg.schema.plan import (
    ChannelPlan,
    Configuration,
    IntensityStatistics,
    NetworkSpec,
    PreviousStage,
)
from autoseg.schema.serialise import short
from autoseg.schema.triple import triple

NORMALISATIONS = {
    "ZScoreNormalization": "zscore",
    "CTNormalization": "ct",
    "NoNormalization": "none",
    "RescaleTo01Normalization": "rescale_0_1",
    "RGBTo01Normalization": "rgb_0_1",
}
ARCHITECTURES = {"PlainConvUNet": "plain_unet", "ResidualEncoderUNet": "residual_unet"}
"""The allow-list of network classes, by the last part of their names; nothing is imported."""
READERS_AS_THEY_ARE = ("SimpleITKIO", "NibabelIO", "NaturalImage2DIO", "Tiff3DIO")
REORIENTING_READER = "NibabelIOWithReorient"
REORIENTING_READERS = (REORIENTING_READER, "SimpleITKIOWithReorient")
"""Readers that turn everything to RAS."""
ORIENTATION = "autoseg_orientation"
"""Key of plans.json under which our exports say what nnU-Net has no word for."""
SAME = {
    "conv_bias": True,
    "dropout_op": None,
    "stem_channels": None,
    "bottleneck_channels": None,
    "nonlin_first": False,
}
"""Options of the networks that ours have fixed."""
KNOWN = {
    "n_stages",
    "features_per_stage",
    "conv_op",
    "kernel_sizes",
    "strides",
    "n_conv_per_stage",
    "n_blocks_per_stage",
    "n_conv_per_stage_decoder",
    "norm_op",
    "norm_op_kwargs",
    "dropout_op_kwargs",
    "nonlin",
    "nonlin_kwargs",
    *SAME,
}
RESAMPLING = "resample_data_or_seg_to_shape"


MAX_STAGES, MAX_FEATURES, MAX_BLOCKS, MAX_PATCH = 12, 8192, 64, 4096
MAX_SPACING_MM = 1e4


def read_configuration(
    plans: Fields, dataset: Fields, name: str, mirror_axes: Sequence[int]
) -> Configuration:
    """Turns a configuration of nnU-Net's plans into ours.

    Args:
        plans: plans.json.
        dataset: dataset.json.
        name: Its name, such as 3d_fullres.
        mirror_axes: Axes that are mirrored at test time, from the checkpoint.

    Raises:
        InputError: The plans want something that our prediction does not do, or are damaged.
    """
    chosen = _inherited(plans, name)
    earlier = chosen.content.get("previous_stage") or chosen.content.get("previous_stage_name")
    _check_resampling(chosen)
    labels = _labels(dataset)
    patch = chosen.integers("patch_size", 1, MAX_PATCH, lengths=(2, 3))
    spacing = chosen.numbers("spacing", 1e-6, MAX_SPACING_MM, lengths=(len(patch),))
    network = _network(chosen, name, len(patch))
    if any(size % step for size, step in zip(patch, network.divisor, strict=True)):
        raise chosen.fault("patch_size", f"multiples of {network.divisor}, the network's strides")
    transpose = plans.integers("transpose_forward", 0, 2, lengths=(3,))
    if sorted(transpose) != [0, 1, 2]:
        raise plans.fault("transpose_forward", "the axes 0, 1 and 2 in some order")
    if any(not 0 <= axis < len(patch) for axis in mirror_axes):
        raise InputError(f"{chosen.where}: mirrors the axes {tuple(mirror_axes)[:5]}.")
    median = patch
    if "median_image_size_in_voxels" in chosen:
        median = chosen.numbers("median_image_size_in_voxels", 0, 1e6, lengths=(2, 3))
    return Configuration(
        name=name,
        spacing_mm=(None, *spacing) if len(patch) == 2 else spacing,
        orientation=_orientation(plans),
        transpose=triple(transpose),
        channels=_channels(plans, dataset, chosen),
        labels=labels,
        patch_size=patch,
        batch_size=chosen.integer("batch_size", 1, 10**6),
        median_shape=tuple(map(float, median)),
        object_mm=None,
        network=network,
        training=replace(
            nnunet_training(labels, len(patch)),
            batch_dice=chosen.flag("batch_dice", True),
            mirror_axes=tuple(mirror_axes),
        ),
        memory_bytes=0,
        seed=0,
        previous=PreviousStage(names=(str(earlier),), kind="image_labels") if earlier else None,
        tile_sums="float16",
    )


def _inherited(plans: Fields, name: str) -> Fields:
    """A configuration with what it inherits from others."""
    if "configurations" not in plans:
        raise InputError(
            f"{plans.where}: has no configurations. Models of nnU-Net v1 cannot be read; "
            "train again with v2, or predict with v1."
        )
    configurations = plans.fields("configurations")
    if name not in configurations:
        known = ", ".join(configurations) or "none"
        raise InputError(f"{plans.where}: has no configuration '{name}'. It has: {known}.")
    chain: list[Fields] = []
    names: list[str] = []
    current: str | None = name
    while current is not None:
        if current in names or current not in configurations:
            raise InputError(
                f"{plans.where}: configuration '{name[:80]}' inherits from '{current[:80]}'."
            )
        names.append(current)
        chain.append(configurations.fields(current))
        current = chain[-1].text("inherits_from") if "inherits_from" in chain[-1] else None
    result: dict[str, Any] = {}
    for part in reversed(chain):
        result.update(part.content)
    return Fields(result, f"{configurations.where}.{name}")


def _network(chosen: Fields, name: str, dims: int) -> NetworkSpec:
    if "architecture" not in chosen:
        return _old_network(chosen, name, dims)
    architecture = chosen.fields("architecture")
    known = _architecture(architecture.text("network_class_name"), name, architecture.where)
    arguments = architecture.fields("arch_kwargs")
    _check_arguments(arguments)
    if not arguments.text("conv_op").endswith(f"{dims}d"):
        raise arguments.fault("conv_op", f"a convolution of {dims} dimensions")
    stages = arguments.integer("n_stages", 1, MAX_STAGES)
    blocks = "n_blocks_per_stage" if "n_blocks_per_stage" in arguments else "n_conv_per_stage"
    return NetworkSpec(
        architecture=known,
        features=_per_stage(arguments, "features_per_stage", stages, MAX_FEATURES),
        kernel_sizes=_per_axis(arguments, "kernel_sizes", stages, dims),
        strides=_per_axis(arguments, "strides", stages, dims),
        encoder_blocks=_per_stage(arguments, blocks, stages, MAX_BLOCKS),
        decoder_blocks=_per_stage(arguments, "n_conv_per_stage_decoder", stages - 1, MAX_BLOCKS),
    )


def _old_network(chosen: Fields, name: str, dims: int) -> NetworkSpec:
    """Plans before 2.3.1 have the numbers of the network beside the others."""
    known = _architecture(chosen.text("UNet_class_name", "PlainConvUNet"), name, chosen.where)
    kernels = chosen.content.get("conv_kernel_sizes")
    if not isinstance(kernels, list) or not 1 <= len(kernels) <= MAX_STAGES:
        raise chosen.fault("conv_kernel_sizes", f"a list of 1 to {MAX_STAGES} sizes")
    stages = len(kernels)
    base = chosen.integer("UNet_base_num_features", 1, MAX_FEATURES)
    highest = chosen.integer("unet_max_num_features", 1, MAX_FEATURES)
    return NetworkSpec(
        architecture=known,
        features=tuple(min(base * 2**stage, highest) for stage in range(stages)),
        kernel_sizes=_per_axis(chosen, "conv_kernel_sizes", stages, dims),
        strides=_per_axis(chosen, "pool_op_kernel_sizes", stages, dims),
        encoder_blocks=_per_stage(chosen, "n_conv_per_stage_encoder", stages, MAX_BLOCKS),
        decoder_blocks=_per_stage(chosen, "n_conv_per_stage_decoder", stages - 1, MAX_BLOCKS),
    )


def _architecture(class_name: str, name: str, where: str) -> str:
    """Our name of a network class, which is looked up and never imported."""
    last = class_name.rsplit(".", 1)[-1]
    if last not in ARCHITECTURES:
        raise InputError(
            f"{where}: {name} has the network class '{class_name[:80]}'. Only "
            f"{' and '.join(ARCHITECTURES)} can be read; nothing was imported."
        )
    return ARCHITECTURES[last]


def _check_arguments(arguments: Fields) -> None:
    for key, value in arguments.content.items():
        if key not in KNOWN or (key in SAME and value != SAME[key]):
            raise InputError(
                f"{arguments.where}: the network has {key[:40]} = {short(value)}, which ours does "
                "not do."
            )
    norm = arguments.text("norm_op", "InstanceNorm")
    options = arguments.optional("norm_op_kwargs")
    if "InstanceNorm" not in norm or not options.flag("affine", False):
        raise InputError(
            f"{arguments.where}: the norm {norm[:80]} {short(options.content)}; only affine "
            "instance norms are read."
        )
    if "eps" in options and abs(options.number("eps") - 1e-5) > 1e-9:
        raise options.fault("eps", "1e-05")
    slope = arguments.optional("nonlin_kwargs")
    if not arguments.text("nonlin", "").endswith("LeakyReLU"):
        raise InputError(
            f"{arguments.where}: the activation {short(arguments.content.get('nonlin'))}; "
            "expected LeakyReLU."
        )
    if "negative_slope" in slope and slope.number("negative_slope") != 0.01:
        raise slope.fault("negative_slope", "0.01")


def _per_stage(fields: Fields, key: str, stages: int, high: int) -> tuple[int, ...]:
    if not isinstance(fields.content.get(key), list):
        return (fields.integer(key, 1, high),) * stages
    return fields.integers(key, 1, high, lengths=(stages,))


def _per_axis(fields: Fields, key: str, stages: int, dims: int) -> tuple[tuple[int, ...], ...]:
    """Sizes per stage and axis; a single number stands for all of them."""
    value: Any = fields.content.get(key)
    values = value if isinstance(value, list) else [value] * stages
    rows: list[list[Any]] = [row if isinstance(row, list) else [row] * dims for row in values]
    whole = Fields({key: [size for row in rows for size in row]}, fields.where)
    whole.integers(key, 1, 32, lengths=(stages * dims,))
    if len(rows) != stages or any(len(row) != dims for row in rows):
        raise fields.fault(key, f"{stages} sizes of {dims} axes")
    return tuple(tuple(int(size) for size in row) for row in rows)


def _check_resampling(chosen: Fields) -> None:
    for key, order in (("data", 3), ("probabilities", 1)):
        function = chosen.text(f"resampling_fn_{key}", RESAMPLING)
        options = chosen.optional(f"resampling_fn_{key}_kwargs").content
        fits = (
            function == RESAMPLING
            and options.get("order", order) == order
            and options.get("order_z", 0) == 0
            and options.get("force_separate_z") is None
        )
        if not fits:
            raise InputError(
                f"{chosen.where}: {key} are resampled by {function[:80]} {short(options)}; "
                f"expected {RESAMPLING} of order {order}."
            )


def _orientation(plans: Fields) -> Orientation | None:
    own = plans.content.get(ORIENTATION)
    if own is not None and own not in ORIENTATIONS:
        raise plans.fault(ORIENTATION, "letters such as LPS")
    reader = plans.text("image_reader_writer", "SimpleITKIO")
    if reader in REORIENTING_READERS:
        return "RAS"
    if reader not in READERS_AS_THEY_ARE:
        known = ", ".join((*READERS_AS_THEY_ARE, *REORIENTING_READERS))
        raise InputError(f"{plans.where}: the image reader '{reader[:80]}'; known are {known}.")
    return next((item for item in ORIENTATIONS if item == own), None)


def _channels(plans: Fields, dataset: Fields, chosen: Fields) -> tuple[ChannelPlan, ...]:
    names = dataset.fields("channel_names" if "channel_names" in dataset else "modality")
    statistics = plans.optional("foreground_intensity_properties_per_channel")
    schemes = chosen.texts("normalization_schemes")
    masks = chosen.content.get("use_mask_for_norm")
    if not isinstance(masks, list) or not len(schemes) == len(masks) == len(names.content) > 0:
        raise InputError(
            f"{chosen.where}: {len(schemes)} normalisations for {len(names.content)} channels, "
            f"use_mask_for_norm is {short(masks)}."
        )
    channels = []
    for index, (scheme, mask) in enumerate(zip(schemes, masks, strict=True)):
        if scheme not in NORMALISATIONS:
            raise InputError(
                f"{chosen.where}: the normalisation '{scheme[:80]}'; known are "
                f"{', '.join(NORMALISATIONS)}."
            )
        found = statistics.optional(str(index))
        if not found.content and scheme == "CTNormalization":
            raise statistics.fault(str(index), "statistics, which CTNormalization needs")
        channels.append(
            ChannelPlan(
                name=names.text(str(index)),
                normalisation=NORMALISATIONS[scheme],
                use_mask=mask is True and scheme == "ZScoreNormalization",
                statistics=_statistics(found) if found.content else None,
            )
        )
    return tuple(channels)


def _statistics(found: Fields) -> IntensityStatistics:
    return IntensityStatistics(
        mean=found.number("mean"),
        median=found.number("median"),
        std=found.number("std", 0),
        minimum=found.number("min"),
        maximum=found.number("max"),
        percentile_00_5=found.number("percentile_00_5"),
        percentile_99_5=found.number("percentile_99_5"),
    )


def _labels(dataset: Fields) -> LabelScheme:
    faults: list[str] = []
    labels = dataset.fields("labels").content
    if labels.get("background") in ([0], "0"):  # nnU-Net allows these ways to write it
        labels = {**labels, "background": 0}
    scheme = read_labels(
        {**dataset.content, "labels": labels},
        Path(dataset.where),
        lambda path, text: faults.append(f"{path}: {text}"),
    )
    if scheme is None:
        raise InputError("\n".join(faults))
    return scheme
