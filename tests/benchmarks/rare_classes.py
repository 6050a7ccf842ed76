"""Small classes among many: our sampling and loss against nnU-Net's, for the same time.

python tests/benchmarks/rare_classes.py ../shared/data/ixi_dlmuse FOLDER --time-budget 4m

Makes a data set of the T1 brains with their smallest and largest labels (all of about 148 take
more than a second per step on two cores), trains 3d_fullres twice with the same network and prints
the Dice of the smallest classes and of all.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from autoseg.planned import load_plan
from autoseg.schema import serialise
from autoseg.workspace import Workspace
from dataset_conversion import DatasetWriter
from tests.benchmarks.configurations import run

SMALLEST = 10
LARGEST = 5


def write_dataset(source: Path, target: Path) -> dict[int, int]:
    """Writes the data set; returns label → voxels over all cases."""
    images = {path.name.split("_")[1]: path for path in source.glob("nifti_*")}
    maps = {
        path.name.split("_")[1]: sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkUInt16)
        for path in sorted(source.glob("dlmuse_*"))
    }
    counts: dict[int, int] = {}
    for item in maps.values():
        values, voxels = np.unique(sitk.GetArrayViewFromImage(item), return_counts=True)
        for value, count in zip(values.tolist(), voxels.tolist(), strict=True):
            counts[value] = counts.get(value, 0) + count
    counts.pop(0)
    ordered = sorted(counts, key=lambda value: counts[value])
    kept = {*ordered[:SMALLEST], *ordered[-LARGEST:]}
    counts = {value: count for value, count in counts.items() if value in kept}
    table = np.zeros(1 + max(ordered), dtype=np.uint16)
    table[list(kept)] = list(kept)
    writer = DatasetWriter(
        target,
        channel_names=["T1"],
        labels={"background": 0, **{f"roi_{value}": value for value in sorted(counts)}},
    )
    for name, item in maps.items():
        labels = sitk.GetImageFromArray(table[sitk.GetArrayViewFromImage(item)])
        labels.CopyInformation(item)
        writer.add(name.replace("-", ""), [sitk.ReadImage(str(images[name]))], labels)
    writer.finish()
    return counts


def main() -> None:
    """Trains both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--time-budget", default="4m")
    parser.add_argument("--memory", default="600MB", help="little: small patches, many steps")
    arguments = parser.parse_args()
    data = arguments.folder / "Dataset200_Muse"
    counts = write_dataset(arguments.source, data)
    smallest = sorted(counts, key=lambda value: counts[value])[:SMALLEST]
    base = arguments.folder / "ours"
    options = ["--configurations", "3d_fullres", "--time-budget", arguments.time_budget]
    options += ["--memory", arguments.memory]
    run("autoseg_plan", str(data), "--workspace", str(base), *options)
    other = arguments.folder / "nnunet"
    run("autoseg_plan", str(data), "--workspace", str(other), *options, "--no-preprocess")
    made = load_plan(Workspace(base))
    item = made.configurations["3d_fullres"]
    training = replace(item.training, sampling="case", loss="dice_cross_entropy")
    changed = {"3d_fullres": replace(item, training=training)}
    serialise.save(replace(made, configurations=changed), Workspace(other).plan)
    print("| sampling and loss | Dice of the smallest classes | below 0.01 | Dice of all |")
    print("|---|---|---|---|")
    for name, workspace in (("ours", base), ("nnU-Net's", other)):
        run("autoseg_train", str(workspace), "3d_fullres", "0")
        run("autoseg_validate", str(workspace), "3d_fullres", "0")
        folder = Workspace(workspace).run("3d_fullres", 0).validation
        summary = json.loads((folder / "summary.json").read_text())["mean_per_class"]
        dice = {label: values["dice"] or 0.0 for label, values in summary.items()}
        small = [dice[f"roi_{value}"] for value in smallest]
        collapsed = sum(value < 0.01 for value in small)
        mean = np.mean(list(dice.values()))
        print(f"| {name} | {np.mean(small):.3f} | {collapsed} of {SMALLEST} | {mean:.3f} |")


if __name__ == "__main__":
    main()
