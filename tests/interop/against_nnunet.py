"""Our predictions against nnU-Net's own, for made-up models of every kind.

    PYTHONPATH=FOLDER_WITH_NNUNETV2 python -m tests.interop.against_nnunet WORK

Needs nnunetv2 (2.8.1), for example `pip install --no-deps --target FOLDER nnunetv2==2.8.1
dynamic-network-architectures batchgeneratorsv2` with what they import. Models have random weights,
in result folders as nnU-Net writes them; a table says how far the two programs' results differ.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from autoseg import pipeline

LABELS = {"background": 0, "a": 1, "b": 2}
REGIONS = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
STATISTICS = {
    "mean": 40.0,
    "median": 35.0,
    "std": 60.0,
    "min": -200.0,
    "max": 400.0,
    "percentile_00_5": -120.0,
    "percentile_99_5": 250.0,
}
Z, XY = [1, 3, 3], [3, 3, 3]
MODELS: dict[str, dict] = {
    "3D, one tile": {},
    "3D, many tiles, resampled": {"spacing": [1.7, 1.4, 1.6], "patch": [24, 24, 24]},
    "CT, anisotropic, separate z": {
        "spacing": [5.0, 0.9, 0.9],
        "patch": [8, 32, 32],
        "kernels": [Z, XY, XY],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "norm": "CTNormalization",
        "voxel": (1.1, 1.0, 4.2),
        "shape": (14, 50, 46),
    },
    "anisotropic only in the case": {"voxel": (1.0, 1.0, 5.0), "shape": (12, 40, 44)},
    "2D": {"dims": 2, "spacing": [1.3, 1.2], "patch": [32, 32], "voxel": (1.0, 1.0, 3.0)},
    "residual, regions": {"residual": True, "labels": REGIONS, "spacing": [1.2, 1.2, 1.2]},
    "transposed": {"transpose": [1, 0, 2], "spacing": [1.5, 1.0, 1.0]},
    "masked normalisation, cropped": {"mask": True, "border": 6},
    "two channels": {"channels": 2},
    "nibabel's orientation": {"reader": "NibabelIOWithReorient", "flip": True},
    "cascade": {"first": {"spacing": [2.6, 2.3, 2.4]}, "spacing": [1.3, 1.2, 1.4]},
    "cascade, anisotropic": {
        "first": {"spacing": [5.0, 2.0, 2.0], "norm": "CTNormalization"},
        "spacing": [5.0, 0.9, 0.9],
        "norm": "CTNormalization",
        "voxel": (1.1, 1.0, 4.2),
        "shape": (14, 50, 46),
    },
    "cascade, masked": {
        "first": {"spacing": [1.6, 1.5, 1.4], "mask": True},
        "spacing": [1.3, 1.2, 1.4],
        "mask": True,
        "ball": True,
    },
}


def make_folder(root: Path, item: dict, name: str = "net") -> Path:
    """Writes a result folder of a model with random weights; a cascade has two."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    dims = item.get("dims", 3)
    residual = item.get("residual", False)
    blocks = "n_blocks_per_stage" if residual else "n_conv_per_stage"
    labels = item.get("labels", LABELS)
    channels = item.get("channels", 1)
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet."
        + ("ResidualEncoderUNet" if residual else "PlainConvUNet"),
        "arch_kwargs": {
            "n_stages": 3,
            "features_per_stage": [8, 16, 32],
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": item.get("kernels", [[3] * dims] * 3),
            "strides": item.get("strides", [[1] * dims, [2] * dims, [2] * dims]),
            blocks: [2, 2, 2],
            "n_conv_per_stage_decoder": [2, 2],
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
    resampling = {"order_z": 0, "force_separate_z": None}
    plans = {
        "dataset_name": "Dataset001_X",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": item.get("reader", "SimpleITKIO"),
        "transpose_forward": item.get("transpose", [0, 1, 2]),
        "transpose_backward": np.argsort(item.get("transpose", [0, 1, 2])).tolist(),
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [40, 40, 40],
        "label_manager": "LabelManager",
        "experiment_planner_used": "ExperimentPlanner",
        "foreground_intensity_properties_per_channel": {
            str(index): STATISTICS for index in range(channels)
        },
        "configurations": {
            name: {
                "data_identifier": "x",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": item.get("patch", [48] * dims),
                "median_image_size_in_voxels": [40.0] * dims,
                "spacing": item.get("spacing", [1.0] * dims),
                "normalization_schemes": [item.get("norm", "ZScoreNormalization")] * channels,
                "use_mask_for_norm": [item.get("mask", False)] * channels,
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **resampling},
                "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **resampling},
                "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **resampling},
                "architecture": architecture,
                "batch_dice": True,
            }
        },
    }
    dataset = {
        "channel_names": {str(index): f"C{index}" for index in range(channels)},
        "labels": labels,
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    if labels is REGIONS:
        dataset["regions_class_order"] = [1, 2]
    inputs = channels
    if "first" in item:
        make_folder(root, item["first"], "low")
        plans["configurations"][name]["previous_stage"] = "low"
        inputs += len(labels) - 1
    folder = root / f"nnUNetTrainer__nnUNetPlans__{name}"
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    torch.manual_seed(0)
    outputs = 2 if labels is REGIONS else len(labels)
    network = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        inputs,
        outputs,
        deep_supervision=True,
    )
    with torch.no_grad():
        for head in network.decoder.seg_layers:
            head.weight *= 10  # confident, and noisy
    torch.save(
        {
            "network_weights": network.state_dict(),
            "init_args": {"configuration": name, "fold": 0},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": tuple(range(dims)),
            "_best_ema": np.float64(0.1),
            "logging": {"mean_fg_dice": [np.float32(0.2)]},
        },
        folder / "fold_0/checkpoint_final.pth",
    )
    return folder


def make_images(folder: Path, item: dict) -> list[str]:
    """Writes smooth random images of one case, one per channel."""
    from scipy import ndimage

    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    shape = item.get("shape", (36, 44, 40))
    paths = []
    for channel in range(item.get("channels", 1)):
        array = ndimage.gaussian_filter(generator.normal(0, 1, shape), 1.5) * 600 + 50
        border = item.get("border", 0)
        if border:
            inner = np.zeros(shape, dtype=bool)
            inner[(slice(border, -border),) * 3] = True
            array[~inner] = 0
        if item.get("ball"):
            places = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in shape)))
            array[(places**2).sum(axis=0).transpose(1, 0, 2) > 1] = 0
        image = sitk.GetImageFromArray(array.astype(np.float32))
        image.SetSpacing(item.get("voxel", (1.0, 1.0, 1.0)))
        if item.get("flip"):
            image.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, 1))
        paths.append(str(folder / f"case_{channel:04d}.nii.gz"))
        sitk.WriteImage(image, paths[-1])
    return paths


def theirs(
    folder: Path, images: list[str], out: Path, *, mirroring: bool, previous: Path | None = None
) -> None:
    """nnU-Net's own prediction."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        use_mirroring=mirroring, device=torch.device("cpu"), perform_everything_on_device=False
    )
    predictor.initialize_from_trained_model_folder(str(folder), (0,), "checkpoint_final.pth")
    predictor.predict_from_files(
        [images], [str(out / "case")], save_probabilities=True, num_processes_preprocessing=1,
        num_processes_segmentation_export=1,
        folder_with_segs_from_prev_stage=None if previous is None else str(previous),
    )  # fmt: skip


def compare(ours: Path, other: Path) -> tuple[float, float, float]:
    """Largest and mean difference of the probabilities, and the share of equal labels."""
    first, second = (
        np.load(folder / "case.npz")["probabilities"].astype(np.float32) for folder in (ours, other)
    )
    labels = [
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "case.nii.gz")))
        for folder in (ours, other)
    ]
    gap = np.abs(first - second)
    return float(gap.max()), float(gap.mean()), float((labels[0] == labels[1]).mean())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", nargs="+", default=list(MODELS), help="names of models")
    arguments = parser.parse_args()
    lines = [
        "| model | mirrored | largest difference | mean | equal labels |",
        "|---|---|---|---|---|",
    ]
    for index, (name, item) in enumerate(MODELS.items()):
        if name not in arguments.only:
            continue
        root = arguments.work / str(index)
        folder, images = make_folder(root, item), make_images(root / "images", item)
        for mirroring in (True, False):
            ours, other = (root / f"{kind}_{mirroring}" for kind in ("ours", "theirs"))
            other.mkdir(exist_ok=True)
            previous = None
            if "first" in item:
                previous = root / f"first_{mirroring}"
                previous.mkdir(exist_ok=True)
                low = folder.parent / "nnUNetTrainer__nnUNetPlans__low"
                theirs(low, images, previous, mirroring=mirroring)
            theirs(folder, images, other, mirroring=mirroring, previous=previous)
            pipeline.predict(
                [folder],
                root / "images",
                ours,
                save_probabilities=True,
                mirroring=mirroring,
                overwrite=True,
                device="cpu",
            )
            high, mean, equal = compare(ours, other)
            mirrored = "yes" if mirroring else "no"
            lines.append(f"| {name} | {mirrored} | {high:.2g} | {mean:.1g} | {equal:.3%} |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
