"""Writes plans/golden/nnunet anew: nnU-Net's own plans for fingerprints made for the purpose.

Needs nnunetv2 2.8.1 in the environment; autoseg is not imported.

python tests/tools/make_nnunet_golden.py plans/golden/nnunet
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

PROPERTIES = {
    "max": 1000.0,
    "mean": 100.0,
    "median": 90.0,
    "min": -1000.0,
    "percentile_00_5": -900.0,
    "percentile_99_5": 800.0,
    "std": 150.0,
}
KEPT = (
    "batch_size",
    "patch_size",
    "median_image_size_in_voxels",
    "spacing",
    "batch_dice",
    "previous_stage",
    "inherits_from",
)


def made_up() -> dict[str, tuple[dict[str, str], dict[str, int], list[Any]]]:
    """Name → channels, labels, (shape, spacing) of every case."""
    rng = np.random.default_rng(0)

    def cases(count: int, shape: list[int], axis: int, spread: int, spacing: list[float]) -> Any:
        result = []
        for _ in range(count):
            size = list(shape)
            size[axis] += int(rng.integers(-spread, spread))
            result.append((size, spacing))
        return result

    tumour = {"background": 0, "organ": 1, "tumour": 2}
    return {
        "LargeCT": ({"0": "CT"}, tumour, cases(30, [420, 512, 512], 0, 60, [1.0, 0.78, 0.78])),
        "AnisoMR": (
            {"0": "T2", "1": "ADC"},
            {"background": 0, "lesion": 1},
            cases(25, [40, 640, 640], 0, 6, [3.6, 0.3, 0.3]),
        ),
        "TinyMR": (
            {"0": "MRI"},
            {"background": 0, "a": 1, "b": 2},
            cases(40, [30, 40, 36], 0, 5, [1.0, 1.0, 1.0]),
        ),
        "HugeMicro": (
            {"0": "zscore"},
            {"background": 0, "a": 1},
            cases(10, [1200, 1000, 900], 2, 50, [0.5, 0.5, 0.5]),
        ),
    }


def plan_with_nnunet(number: int, name: str, root: Path) -> dict[str, Any]:
    """Plans one data set with the planners of all presets."""
    from nnunetv2.experiment_planning.experiment_planners import default_experiment_planner
    from nnunetv2.experiment_planning.experiment_planners.residual_unets import (
        residual_encoder_unet_planners as residual,
    )
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    channels, labels, cases = made_up()[name]
    description = {
        "channel_names": channels,
        "labels": labels,
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
        "dataset": {f"c{index}": {"images": [], "label": ""} for index in range(len(cases))},
    }
    fingerprint = {
        "spacings": [spacing for _, spacing in cases],
        "shapes_after_crop": [shape for shape, _ in cases],
        "foreground_intensity_properties_per_channel": dict.fromkeys(channels, PROPERTIES),
        "median_relative_size_after_cropping": 1.0,
    }
    for part in ("nnUNet_raw", "nnUNet_preprocessed"):
        folder = root / part / f"Dataset{number}_{name}"
        folder.mkdir(parents=True)
        (folder / "dataset.json").write_text(json.dumps(description))
        (folder / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
    planners = {
        "plain": default_experiment_planner.ExperimentPlanner,
        "M": residual.nnUNetPlannerResEncM,
        "L": residual.nnUNetPlannerResEncL,
        "XL": residual.nnUNetPlannerResEncXL,
    }
    plans = {}
    for preset, planner_class in planners.items():
        planner = planner_class(number)
        planner.determine_reader_writer = lambda: SimpleITKIO
        made = planner.plan_experiment()
        plans[preset] = {
            "transpose_forward": made["transpose_forward"],
            "configurations": {key: _numbers(item) for key, item in made["configurations"].items()},
        }
    return {
        "made_with": "nnunetv2 2.8.1, its planners on a fingerprint made for this test",
        "dataset": labels,
        "channel_names": channels,
        "fingerprint": fingerprint,
        "plans": plans,
    }


def _numbers(configuration: dict[str, Any]) -> dict[str, Any]:
    numbers = {key: configuration[key] for key in KEPT if key in configuration}
    if "architecture" in configuration:
        arguments = configuration["architecture"]["arch_kwargs"]
        numbers |= {key: arguments[key] for key in ("strides", "kernel_sizes")}
    return numbers


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def main() -> None:
    """Writes one file per data set."""
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for part in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            os.environ[part] = str(Path(folder) / part)
        for number, name in enumerate(made_up(), start=901):
            made = plan_with_nnunet(number, name, Path(folder))
            text = json.dumps(made, default=_plain, separators=(",", ":"))
            (target / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
