"""Metrics of a whole-body label map against what a user would take instead.

    python -m tests.benchmarks.evaluation ../shared/data/ixi_dlmuse/dlmuse_IXI012*.nii.gz FOLDER

makes a label map of 512×512×400 voxels with 104 labels from a real one, and a prediction that is
the same under a smooth random displacement; then prints a table. Others are measured on some labels
(MedPy and MONAI: --sample), since all of them would take hours; DeepMind's surface-distance on all.
They are left out where they are not installed (`pip install medpy monai surface-distance`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from evaluation import score_arrays

SHAPE = (400, 512, 512)
SPACING = (1.5, 0.8, 0.8)
CLASSES = 5


def make_maps(source: Path, folder: Path, labels: int) -> None:
    """Writes the reference and the prediction."""
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(source))).astype(np.int64)
    found, counts = np.unique(values[values > 0], return_counts=True)
    kept = found[np.argsort(-counts)][:labels]
    table = np.zeros(values.max() + 1, dtype=np.uint8)
    table[kept] = np.arange(1, len(kept) + 1)
    small = table[values]
    small = small[ndimage.find_objects((small > 0).astype(np.uint8))[0]]
    places = [np.arange(new) * old // new for new, old in zip(SHAPE, small.shape, strict=True)]
    reference = small[np.ix_(*places)]
    generator = np.random.default_rng(0)
    moved = []
    for axis, size in enumerate(SHAPE):
        coarse = generator.normal(0, 2, (6, 6, 6))
        field = ndimage.zoom(coarse, [new / 6 for new in SHAPE], order=1)
        start = np.arange(size).reshape([-1 if other == axis else 1 for other in range(3)])
        moved.append(np.clip(np.rint(start + field), 0, size - 1).astype(np.int16))
    prediction = reference[tuple(moved)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("reference", reference), ("prediction", prediction)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(SPACING[::-1])
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))


def make_probabilities(folder: Path) -> None:
    """Writes float16 probabilities of five classes, and their label map."""
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "reference.nii.gz"))) % CLASSES
    image = sitk.GetImageFromArray(labels)
    sitk.WriteImage(image, str(folder / "classes.nii.gz"))
    target = np.lib.format.open_memmap(
        folder / "probabilities.npy", mode="w+", dtype=np.float16, shape=(CLASSES, *SHAPE)
    )
    generator = np.random.default_rng(0)
    for z in range(SHAPE[0]):
        logits = generator.normal(0, 1, (CLASSES, *SHAPE[1:])).astype(np.float32)
        logits += 3 * (np.arange(CLASSES)[:, None, None] == labels[z])
        powers = np.exp(logits)
        target[:, z] = powers / powers.sum(axis=0)


def timed(*command: str) -> tuple[float, float]:
    """Seconds and peak resident gigabytes of a command."""
    done = subprocess.run(
        ["/usr/bin/time", "-f", "%e %M", *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    seconds, kilobytes = done.stderr.split()[-2:]
    return float(seconds), float(kilobytes) / 1e6


OTHERS = {
    "medpy hd95": ("medpy", "from medpy.metric.binary import hd95; hd95(p, r, SPACING)"),
    "monai hd95 + surface dice": (
        "monai",
        "import torch; from monai.metrics import compute_hausdorff_distance as h, "
        "compute_surface_dice as s;"
        "a, b = (torch.from_numpy(m)[None, None].float() for m in (p, r));"
        "h(a, b, include_background=True, percentile=95, spacing=SPACING);"
        "s(a, b, [1.0], include_background=True, spacing=SPACING)",
    ),
    "deepmind hd95 + surface dice": (
        "surface_distance",
        "import surface_distance as d; f = d.compute_surface_distances(r, p, SPACING);"
        "d.compute_robust_hausdorff(f, 95); d.compute_surface_dice_at_tolerance(f, 1.0)",
    ),
}


def measure_other(reference: np.ndarray, prediction: np.ndarray, call: str, labels: list[int]):
    """Mean seconds per label of another program, called as its documentation calls it."""
    code = compile(call, "benchmark", "exec")
    spent = 0.0
    for label in labels:
        begun = time.perf_counter()
        names = {"r": reference == label, "p": prediction == label, "SPACING": SPACING}
        exec(code, names)
        spent += time.perf_counter() - begun
    return spent / len(labels)


def main(argv: list[str] | None = None) -> None:
    """Makes the data where they are missing, measures, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=int, default=104)
    parser.add_argument("--sample", type=int, default=4, help="labels for MedPy and MONAI")
    arguments = parser.parse_args(argv)
    folder = arguments.folder
    if not (folder / "prediction.nii.gz").is_file():
        make_maps(arguments.source, folder, arguments.labels)
    if not (folder / "probabilities.npy").is_file():
        make_probabilities(folder)

    maps = [str(folder / f"{name}.nii.gz") for name in ("reference", "prediction")]
    metrics = ["--metrics", "dice", "hd95", "nsd"]
    out = str(folder / "scores")
    whole, memory = timed("autoseg_evaluate", *maps, *metrics, "-o", out, "--overwrite")
    print("| what | seconds | per label | ratio | peak memory |\n|---|---|---|---|---|")
    count = len(json.loads((folder / "scores/summary.json").read_text())["mean_per_class"])
    print(
        f"| autoseg_evaluate: Dice, HD95, surface Dice of {count} labels, files read and written "
        f"| {whole:.1f} | {whole / count:.3f} | | {memory:.2f} GB |",
        flush=True,
    )
    reference, prediction = (sitk.GetArrayFromImage(sitk.ReadImage(path)) for path in maps)
    classes = {str(value): (value,) for value in range(1, count + 1)}
    begun = time.perf_counter()
    score_arrays(
        reference,
        prediction,
        classes,
        spacing_mm=SPACING,
        metrics=("dice", "hd95", "nsd"),
        workers=2,
    )
    spent = time.perf_counter() - begun
    ours = spent / count
    print(f"| the same on arrays | {spent:.1f} | {ours:.3f} | 1 | |", flush=True)
    sizes = np.bincount(reference.ravel())[1:]
    ordered = 1 + np.argsort(-sizes)
    step = max(1, len(ordered) // arguments.sample)
    labels = [int(label) for label in ordered[step // 2 :: step][: arguments.sample]]
    for name, (module, call) in OTHERS.items():
        if find_spec(module) is None:
            print(f"| {name} | not installed | | | |")
            continue
        chosen = [int(label) for label in ordered] if module == "surface_distance" else labels
        seconds = measure_other(reference, prediction, call, chosen)
        print(
            f"| {name}, {len(chosen)} labels | | {seconds:.2f} | {seconds / ours:.0f} | |",
            flush=True,
        )
    probabilities = str(folder / "probabilities.npy")
    named = [str(folder / "classes.nii.gz")] * 2
    for extra in (["ece"], ["ece", "classwise_ece", "brier", "nll"]):
        command = ["autoseg_evaluate", *named, "--probabilities", probabilities, "--metrics"]
        seconds, memory = timed(*command, *extra, "-o", out, "--overwrite")
        shape = "×".join(str(size) for size in (*reversed(SHAPE), CLASSES))
        print(f"| {', '.join(extra)} of {shape} float16 | {seconds:.1f} | | | {memory:.2f} GB |")


if __name__ == "__main__":
    main()
