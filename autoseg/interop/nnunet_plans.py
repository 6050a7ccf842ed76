"""nnU-Net's plans.json and dataset.json as a Configuration of ours (nnU-Net 2.0 to 2.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoseg.datasets.label_table import read_labels
from autoseg.errors import InputError
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


def read_configuration(
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    name: str,
    mirror_axes: Sequence[int],
    where: Path,
) -> Configuration:
    """Turns a configuration of nnU-Net's plans into ours.

    Args:
        plans: plans.json.
        dataset: dataset.json.
        name: Its name, such as 3d_fullres.
        mirror_axes: Axes that are mirrored at test time, from the checkpoint.
        where: File to name in messages.

    Raises:
        InputError: The plans want something that our prediction does not do.
    """
    item = _inherited(plans, name, where)
    earlier = item.get("previous_stage") or item.get("previous_stage_name")
    network = _network(item, name, where)
    _check_resampling(item, where)
    labels = _labels(dataset, where)
    patch = tuple(int(size) for size in item["patch_size"])
    spacing = tuple(float(step) for step in item["spacing"])
    return Configuration(
        name=name,
        spacing_mm=(None, *spacing) if len(patch) == 2 else spacing,
        orientation=_orientation(plans, where),
        transpose=triple(int(axis) for axis in plans["transpose_forward"]),
        channels=_channels(plans, dataset, item, where),
        labels=labels,
        patch_size=patch,
        batch_size=int(item["batch_size"]),
        median_shape=tuple(float(size) for size in item.get("median_image_size_in_voxels", patch)),
        object_mm=None,
        network=network,
        training=replace(
            nnunet_training(labels, len(patch)),
            batch_dice=bool(item.get("batch_dice", True)),
            mirror_axes=tuple(mirror_axes),
        ),
        memory_bytes=0,
        seed=0,
        previous=PreviousStage(names=(str(earlier),), kind="image_labels") if earlier else None,
        tile_sums="float16",
    )


def _inherited(plans: Mapping[str, Any], name: str, where: Path) -> dict[str, Any]:
    """A configuration with what it inherits from others."""
    configurations = plans.get("configurations", {})
    if name not in configurations:
        known = ", ".join(configurations) or "none"
        raise InputError(f"{where}: has no configuration '{name}'. It has: {known}.")
    chain: list[str] = []
    current: str | None = name
    while current is not None:
        if current in chain or current not in configurations:
            raise InputError(f"{where}: configuration '{name}' inherits from '{current}'.")
        chain.append(current)
        current = configurations[current].get("inherits_from")
    result: dict[str, Any] = {}
    for part in reversed(chain):
        result.update(configurations[part])
    return result


def _network(item: Mapping[str, Any], name: str, where: Path) -> NetworkSpec:
    if "architecture" not in item:
        return _old_network(item, name, where)
    architecture = item["architecture"]
    known = _architecture(str(architecture.get("network_class_name")), name, where)
    arguments = architecture["arch_kwargs"]
    _check_arguments(arguments, where)
    dims = 3 if str(arguments["conv_op"]).endswith("3d") else 2
    stages = int(arguments["n_stages"])
    blocks = arguments.get("n_blocks_per_stage", arguments.get("n_conv_per_stage"))
    return NetworkSpec(
        architecture=known,
        features=_per_stage(arguments["features_per_stage"], stages),
        kernel_sizes=_per_axis(arguments["kernel_sizes"], stages, dims),
        strides=_per_axis(arguments["strides"], stages, dims),
        encoder_blocks=_per_stage(blocks, stages),
        decoder_blocks=_per_stage(arguments["n_conv_per_stage_decoder"], stages - 1),
    )


def _old_network(item: Mapping[str, Any], name: str, where: Path) -> NetworkSpec:
    """Plans before 2.3.1 have the numbers of the network beside the others."""
    known = _architecture(str(item.get("UNet_class_name", "PlainConvUNet")), name, where)
    kernels = item["conv_kernel_sizes"]
    dims, stages = len(kernels[0]), len(kernels)
    base, highest = int(item["UNet_base_num_features"]), int(item["unet_max_num_features"])
    return NetworkSpec(
        architecture=known,
        features=tuple(min(base * 2**stage, highest) for stage in range(stages)),
        kernel_sizes=_per_axis(kernels, stages, dims),
        strides=_per_axis(item["pool_op_kernel_sizes"], stages, dims),
        encoder_blocks=_per_stage(item["n_conv_per_stage_encoder"], stages),
        decoder_blocks=_per_stage(item["n_conv_per_stage_decoder"], stages - 1),
    )


def _architecture(class_name: str, name: str, where: Path) -> str:
    """Our name of a network class, which is looked up and never imported."""
    last = class_name.rsplit(".", 1)[-1]
    if last not in ARCHITECTURES:
        raise InputError(
            f"{where}: {name} has the network class '{class_name}'. Only "
            f"{' and '.join(ARCHITECTURES)} can be read; nothing was imported."
        )
    return ARCHITECTURES[last]


def _check_arguments(arguments: Mapping[str, Any], where: Path) -> None:
    for key, value in arguments.items():
        if key not in KNOWN or (key in SAME and value != SAME[key]):
            raise InputError(f"{where}: the network has {key} = {value!r}, which ours does not do.")
    norm = str(arguments.get("norm_op", "InstanceNorm"))
    options = arguments.get("norm_op_kwargs") or {}
    if "InstanceNorm" not in norm or not options.get("affine", False):
        raise InputError(
            f"{where}: the norm {norm} {options}; only affine instance norms are read."
        )
    if abs(float(options.get("eps", 1e-5)) - 1e-5) > 1e-9:
        raise InputError(f"{where}: the norm's eps is {options['eps']}, expected 1e-05.")
    activation, slope = str(arguments.get("nonlin")), arguments.get("nonlin_kwargs") or {}
    if not activation.endswith("LeakyReLU") or slope.get("negative_slope", 0.01) != 0.01:
        raise InputError(f"{where}: the activation {activation} {slope}; expected LeakyReLU, 0.01.")


def _per_stage(value: Any, stages: int) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value] * stages
    return tuple(int(item) for item in values)


def _per_axis(value: Any, stages: int, dims: int) -> tuple[tuple[int, ...], ...]:
    values = value if isinstance(value, list) else [value] * stages
    return tuple(
        tuple(int(part) for part in (item if isinstance(item, list) else [item] * dims))
        for item in values
    )


def _check_resampling(item: Mapping[str, Any], where: Path) -> None:
    for key, order in (("data", 3), ("probabilities", 1)):
        function = item.get(f"resampling_fn_{key}", RESAMPLING)
        options = item.get(f"resampling_fn_{key}_kwargs", {})
        fits = (
            function == RESAMPLING
            and options.get("order", order) == order
            and options.get("order_z", 0) == 0
            and options.get("force_separate_z") is None
        )
        if not fits:
            raise InputError(
                f"{where}: {key} are resampled by {function} {options}; expected {RESAMPLING} of "
                f"order {order}."
            )


def _orientation(plans: Mapping[str, Any], where: Path) -> Orientation | None:
    own = plans.get(ORIENTATION)
    if own is not None and own not in ORIENTATIONS:
        raise InputError(f"{where}: {ORIENTATION} is {own!r}, expected letters such as LPS.")
    reader = plans.get("image_reader_writer", "SimpleITKIO")
    if reader in REORIENTING_READERS:
        return "RAS"
    if reader not in READERS_AS_THEY_ARE:
        raise InputError(
            f"{where}: the image reader '{reader}'; known are "
            f"{', '.join((*READERS_AS_THEY_ARE, *REORIENTING_READERS))}."
        )
    return next((item for item in ORIENTATIONS if item == own), None)


def _channels(
    plans: Mapping[str, Any], dataset: Mapping[str, Any], item: Mapping[str, Any], where: Path
) -> tuple[ChannelPlan, ...]:
    names = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(names, dict) or not names:
        raise InputError(f"{where}: dataset.json names no channels (channel_names).")
    statistics = plans.get("foreground_intensity_properties_per_channel", {})
    schemes, masks = item["normalization_schemes"], item["use_mask_for_norm"]
    if not len(schemes) == len(masks) == len(names):
        raise InputError(f"{where}: {len(schemes)} normalisations for {len(names)} channels.")
    channels = []
    for index, (scheme, mask) in enumerate(zip(schemes, masks, strict=True)):
        if scheme not in NORMALISATIONS:
            raise InputError(
                f"{where}: the normalisation '{scheme}'; known are {', '.join(NORMALISATIONS)}."
            )
        found = statistics.get(str(index))
        channels.append(
            ChannelPlan(
                name=str(names[str(index)]),
                normalisation=NORMALISATIONS[scheme],
                use_mask=bool(mask) and scheme == "ZScoreNormalization",
                statistics=None if found is None else _statistics(found),
            )
        )
    return tuple(channels)


def _statistics(found: Mapping[str, float]) -> IntensityStatistics:
    return IntensityStatistics(
        mean=float(found["mean"]),
        median=float(found["median"]),
        std=float(found["std"]),
        minimum=float(found["min"]),
        maximum=float(found["max"]),
        percentile_00_5=float(found["percentile_00_5"]),
        percentile_99_5=float(found["percentile_99_5"]),
    )


def _labels(dataset: Mapping[str, Any], where: Path) -> LabelScheme:
    faults: list[str] = []
    description = {**dataset, "labels": _without_background_region(dataset.get("labels"))}
    scheme = read_labels(
        description,
        where.parent / "dataset.json",
        lambda path, text: faults.append(f"{path}: {text}"),
    )
    if scheme is None:
        raise InputError("\n".join(faults))
    return scheme


def _without_background_region(labels: Any) -> Any:
    """nnU-Net allows a background that is written as a region of 0."""
    if isinstance(labels, dict) and labels.get("background") == [0]:
        return {**labels, "background": 0}
    return labels
