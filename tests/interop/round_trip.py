"""Our models, exported and predicted by nnU-Net itself, against our own predictions.

    PYTHONPATH=FOLDER_WITH_NNUNETV2 python -m tests.interop.round_trip MODEL IMAGES WORK

Needs nnunetv2 (see against_nnunet). MODEL is a checkpoint, a run's folder or a workspace of ours,
IMAGES a folder of images in nnU-Net's raw format. nnU-Net loads the weights strictly.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from autoseg import pipeline
from autoseg.datasets.file_names import input_cases
from autoseg.inference.models import find_models, read_any


def theirs(folder: Path, cases: dict[str, tuple[Path, ...]], out: Path, *, mirroring: bool) -> None:
    """nnU-Net's own prediction with an exported folder."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    folds = sorted(path.name.removeprefix("fold_") for path in folder.glob("fold_*"))
    predictor = nnUNetPredictor(
        use_mirroring=mirroring, device=torch.device("cpu"), perform_everything_on_device=False
    )
    predictor.initialize_from_trained_model_folder(
        str(folder),
        tuple(int(fold) if fold.isdigit() else fold for fold in folds),
        "checkpoint_final.pth",
    )
    predictor.predict_from_files(
        [[str(path) for path in files] for files in cases.values()],
        [str(out / case) for case in cases],
        save_probabilities=True,
        num_processes_preprocessing=1,
        num_processes_segmentation_export=1,
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--cases", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.work / "exported"
    for note in pipeline.export_model("nnunet", arguments.model, folder, overwrite=True):
        print(note)
    scheme = read_any(find_models(arguments.model)[0]).configuration.labels
    dataset = json.loads((folder / "dataset.json").read_text())
    found = input_cases(arguments.images, len(dataset["channel_names"]))
    cases = dict(list(found.items())[: arguments.cases])
    images = arguments.work / "images"
    images.mkdir(parents=True, exist_ok=True)
    for path in (path for files in cases.values() for path in files):
        if not (images / path.name).exists():
            (images / path.name).symlink_to(path.resolve())
    lines = [
        "| case | mirrored | largest difference | mean | equal labels |",
        "|---|---|---|---|---|",
    ]
    for mirroring in (True, False):
        other, ours = (arguments.work / f"{kind}_{mirroring}" for kind in ("theirs", "ours"))
        other.mkdir(parents=True, exist_ok=True)
        theirs(folder, cases, other, mirroring=mirroring)
        pipeline.predict(
            [arguments.model],
            images,
            ours,
            save_probabilities=True,
            mirroring=mirroring,
            overwrite=True,
            device="cpu",
        )
        for case in cases:
            first, second = (
                np.load(part / f"{case}.npz")["probabilities"].astype(np.float32)
                for part in (ours, other)
            )
            gap = np.abs(first - second)
            ending = dataset["file_ending"]
            labels = [
                sitk.GetArrayFromImage(sitk.ReadImage(str(part / f"{case}{ending}")))
                for part in (ours, other)
            ]
            if not scheme.has_regions:  # nnU-Net numbers labels one by one
                labels[0] = scheme.encode(labels[0])
            equal = (labels[0] == labels[1]).mean()
            lines.append(
                f"| {case} | {'yes' if mirroring else 'no'} | {gap.max():.2g} | {gap.mean():.1g} "
                f"| {equal:.3%} |"
            )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
