"""Writes our U-Nets as result folders that nnU-Net v2 predicts with."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoseg.checkpoint import Checkpoint
from autoseg.errors import UsageError
from autoseg.images.files import is_natural
from autoseg.interop.nnunet import is_model_folder
from autoseg.interop.nnunet_plans import (
    ARCHITECTURES,
    NORMALISATIONS,
    ORIENTATION,
    REORIENTING_READER,
    RESAMPLING,
)
from autoseg.schema.labels import LabelScheme
from autoseg.schema.plan import ChannelPlan, Configuration
from autoseg.schema.serialise import atomic_path, write_text
from autoseg.version import __version__

logger = logging.getLogger(__name__)

PLANS = "autosegPlans"
RENAMES = (
    (r"^stem\.", "encoder.stem.convs.0."),
    (r"^decoder\.stages\.(\d+)\.(\d+)\.", r"decoder.stages.\1.convs.\2."),
    (r"^decoder\.transposed\.", "decoder.transpconvs."),
    (r"^decoder\.heads\.", "decoder.seg_layers."),
)
STAGES = {
    "plain_unet": r"encoder.stages.\1.0.convs.\2.",
    "residual_unet": r"encoder.stages.\1.blocks.\2.",
}
NO_STATISTICS = dict.fromkeys(("mean", "median", "std", "min", "max"), 0.0)


def check_nnunet(
    models: Mapping[str, Checkpoint], output: Path, *, overwrite: bool = False
) -> None:
    """Refuses models that nnU-Net cannot predict with, and a folder that holds another.

    Raises:
        UsageError: nnU-Net cannot do what the models do, or there is a model already.
    """
    first = next(iter(models.values()))
    configurations = [model.configuration for model in models.values()]
    if any(other != first.configuration for other in configurations):
        raise UsageError(
            "The folds were trained with different plans; nnU-Net's folder has one. "
            "Export them one by one."
        )
    _check(first.configuration, first.provenance.file_ending)
    if is_model_folder(output) and not overwrite:
        raise UsageError(f"{output}: holds a model already. Use --overwrite, or another -o.")


def export_nnunet(models: Mapping[str, Checkpoint], output: Path) -> list[str]:
    """Writes models of one configuration as nnU-Net's result folder.

    Args:
        models: Fold → model, which `check_nnunet` has seen.
        output: Folder for plans.json, dataset.json and `fold_N/checkpoint_final.pth`.

    Returns:
        What users of the folder have to know.
    """
    first = next(iter(models.values()))
    configuration, ending = first.configuration, first.provenance.file_ending
    plans = make_plans(configuration, first.provenance.dataset, ending)
    for fold, model in models.items():
        content = {
            "network_weights": rename_weights(model.weights, configuration.network.architecture),
            "optimizer_state": {},
            "grad_scaler_state": None,
            "logging": {},
            "_best_ema": 0.0,
            "current_epoch": 0,
            "init_args": {
                "configuration": configuration.name,
                "fold": int(fold) if fold.isdigit() else fold,
            },
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": configuration.training.mirror_axes or None,
        }
        with atomic_path(output / f"fold_{fold}" / "checkpoint_final.pth") as temporary:
            torch.save(content, temporary)
    write_text(output / "dataset.json", json.dumps(make_dataset(configuration, ending), indent=2))
    write_text(output / "plans.json", json.dumps(plans, indent=2))
    return list(_notes(configuration, ending))


def rename_weights(weights: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """Our state dict with nnU-Net's names, and all aliases that its strict loading asks for."""
    result: dict[str, Tensor] = {}
    for key, value in weights.items():
        name = re.sub(r"^encoder\.(\d+)\.(\d+)\.", STAGES[architecture], key)
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
        names = [name]
        for part, position in (("conv", 0), ("norm", 1)):
            alias = re.sub(rf"\.{part}\.(\w+)$", rf".all_modules.{position}.\1", name)
            if alias != name:
                names.append(alias)
        names += [f"decoder.{item}" for item in names if item.startswith("encoder.")]
        result.update(dict.fromkeys(names, value.contiguous()))
    return result


def make_plans(configuration: Configuration, dataset: str, ending: str) -> dict[str, Any]:
    """plans.json of a configuration."""
    transpose = _transpose(configuration)
    spacing = _spacing(configuration)
    statistics = {
        str(index): _statistics(channel) for index, channel in enumerate(configuration.channels)
    }
    resampling = {"order_z": 0, "force_separate_z": None}
    item = {
        "data_identifier": f"{PLANS}_{configuration.name}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": configuration.batch_size,
        "patch_size": list(configuration.patch_size),
        "median_image_size_in_voxels": list(configuration.median_shape),
        "spacing": spacing,
        "normalization_schemes": [_scheme(channel) for channel in configuration.channels],
        "use_mask_for_norm": [channel.use_mask for channel in configuration.channels],
        "resampling_fn_data": RESAMPLING,
        "resampling_fn_seg": RESAMPLING,
        "resampling_fn_probabilities": RESAMPLING,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **resampling},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **resampling},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **resampling},
        "architecture": _architecture(configuration),
        "batch_dice": configuration.training.batch_dice,
    }
    return {
        "dataset_name": dataset,
        "plans_name": PLANS,
        "original_median_spacing_after_transp": [1.0] * (3 - len(spacing)) + spacing,
        "original_median_shape_after_transp": [1] * (3 - len(spacing))
        + [int(size) for size in configuration.median_shape],
        "image_reader_writer": _reader(configuration, ending),
        "transpose_forward": list(transpose),
        "transpose_backward": [transpose.index(axis) for axis in range(3)],
        "experiment_planner_used": f"autoseg {__version__}",
        "label_manager": "LabelManager",
        ORIENTATION: configuration.orientation,
        "foreground_intensity_properties_per_channel": statistics,
        "configurations": {configuration.name: item},
    }


def make_dataset(configuration: Configuration, ending: str) -> dict[str, Any]:
    """dataset.json of a configuration."""
    labels = configuration.labels
    result: dict[str, Any] = {
        "channel_names": {
            str(index): channel.name for index, channel in enumerate(configuration.channels)
        },
        "labels": {"background": 0, **_label_values(labels)},
        "numTraining": 0,
        "file_ending": ending,
    }
    if labels.regions_order is not None:
        result["regions_class_order"] = list(labels.regions_order)
    return result


def _label_values(labels: LabelScheme) -> dict[str, int | list[int]]:
    """Values that nnU-Net paints: regions paint their own, labels are numbered one by one."""
    ignore: dict[str, int | list[int]] = {}
    if labels.has_regions:
        if labels.ignore is not None:
            ignore = {"ignore": labels.ignore}
        return {**{item.name: list(item.values) for item in labels.classes}, **ignore}
    if labels.ignore is not None:
        ignore = {"ignore": labels.num_indices}
    names: dict[str, int | list[int]] = {
        name: index for index, name in enumerate(labels.class_names, start=1)
    }
    return {**names, **ignore}


def _check(configuration: Configuration, ending: str) -> None:
    """Refuses what nnU-Net cannot do.

    Raises:
        UsageError: It cannot.
    """
    name, faults = configuration.name, []
    if configuration.network.architecture not in STAGES:
        faults.append(
            f"the network {configuration.network.architecture} (only {' and '.join(STAGES)})"
        )
    elif len(configuration.network.features) == 1:
        faults.append("networks of one level, for images too small to be pooled")
    if configuration.num_slices > 1:
        faults.append("neighbouring slices as channels (2.5d)")
    if configuration.previous is not None:
        faults.append("earlier stages, which nnU-Net predicts by hand")
    known = set(NORMALISATIONS.values())
    faults += [
        f"the normalisation {channel.normalisation}"
        for channel in configuration.channels
        if channel.normalisation not in known
    ]
    wanted = [configuration.spacing_mm[axis] for axis in configuration.patch_axes]
    if None in wanted and not is_natural(ending):
        faults.append("the case's own spacing within a patch")
    if faults:
        raise UsageError(f"{name}: nnU-Net has no {'; no '.join(faults)}. It was not exported.")


def _notes(configuration: Configuration, ending: str) -> Sequence[str]:
    labels, notes = configuration.labels, []
    values = labels.foreground_values
    if not labels.has_regions and values != tuple(range(1, len(values) + 1)):
        table = ", ".join(f"{index} is {value}" for index, value in enumerate(values, start=1))
        notes.append(f"nnU-Net numbers labels one by one: {table} of the data set.")
    reader = _reader(configuration, ending)
    if configuration.orientation is not None and reader != REORIENTING_READER:
        notes.append(
            f"The network wants images that are stored {configuration.orientation}. nnU-Net does "
            "not turn others to it: turn them before."
        )
    return notes


def _transpose(configuration: Configuration) -> tuple[int, ...]:
    """nnU-Net takes slices along the first axis."""
    if configuration.dimensions == 3:
        return configuration.transpose
    order = configuration.transpose
    first = configuration.slice_axis
    return (order[first], *(order[axis] for axis in range(3) if axis != first))


def _spacing(configuration: Configuration) -> list[float]:
    wanted = [configuration.spacing_mm[axis] for axis in configuration.patch_axes]
    return [1.0 if value is None else float(value) for value in wanted]


def _reader(configuration: Configuration, ending: str) -> str:
    # Only plans of two-dimensional images have no orientation; TIFF may hold volumes.
    is_volume = configuration.dimensions == 3 or configuration.orientation is not None
    if ending.lower() in (".tif", ".tiff") and is_volume:
        return "Tiff3DIO"
    if is_natural(ending):
        return "NaturalImage2DIO"
    if configuration.orientation == "RAS" and ending in (".nii.gz", ".nii"):
        return REORIENTING_READER
    return "SimpleITKIO"


def _scheme(channel: ChannelPlan) -> str:
    names = {ours: theirs for theirs, ours in NORMALISATIONS.items()}
    return names[channel.normalisation]


def _statistics(channel: ChannelPlan) -> dict[str, float]:
    found = channel.statistics
    if found is None:
        return {**NO_STATISTICS, "percentile_00_5": 0.0, "percentile_99_5": 0.0}
    return {
        "mean": found.mean,
        "median": found.median,
        "std": found.std,
        "min": found.minimum,
        "max": found.maximum,
        "percentile_00_5": found.percentile_00_5,
        "percentile_99_5": found.percentile_99_5,
    }


def _architecture(configuration: Configuration) -> dict[str, Any]:
    spec, dims = configuration.network, configuration.dimensions
    names = {ours: theirs for theirs, ours in ARCHITECTURES.items()}
    residual = spec.architecture == "residual_unet"
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet."
        + names[spec.architecture],
        "arch_kwargs": {
            "n_stages": len(spec.features),
            "features_per_stage": list(spec.features),
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": [list(size) for size in spec.kernel_sizes],
            "strides": [list(stride) for stride in spec.strides],
            "n_blocks_per_stage" if residual else "n_conv_per_stage": list(spec.encoder_blocks),
            "n_conv_per_stage_decoder": list(spec.decoder_blocks),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
