"""Whole-body CT with 117 classes: time and memory of autoseg_predict against nnU-Net's program.

    python -m tests.benchmarks.inference CT WORK [--shape 512 512 400] [--memory 4GB] \
        [--nnunet PYTHONPATH]

CT is for example ../shared/data/totalsegmentator_examples/example_ct.nii.gz. It is resampled to the
shape (x, y, z); a network of TotalSegmentator's size (1.5 mm, patch 128, 117 classes) is made with
random weights in nnU-Net's format, and both programs predict the image without mirroring, one after
the other. Memory is the largest sum over all processes of a command.

    python -m tests.benchmarks.inference WORK --restore [--shape …] [--nnunet PYTHONPATH]

Only restores such logits (in memory) to the full resolution, against nnU-Net's resampling.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from autoseg.architectures import build_network
from autoseg.checkpoint import Checkpoint, Provenance
from autoseg.datasets.recipes import load_recipe
from autoseg.inference.streaming import grid_planes
from autoseg.inference.streaming.label_map import Part, assemble_labels, find_windows
from autoseg.interop.nnunet_export import export_nnunet
from autoseg.preprocessing.case import Restoration
from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.schema.nnunet_training import nnunet_training
from autoseg.schema.plan import ChannelPlan, Configuration, IntensityStatistics, NetworkSpec
from tests.tools.array_source import ArraySource

SPACING_MM = (0.8, 0.8, 1.0)
"""Of the made image: x, y, z."""
EVERY_S = 0.1
LIMIT_BYTES = 22 * 2**30
"""A command that takes more is ended: the machine has 24 GiB."""


@dataclass
class Usage:
    """What a command took."""

    seconds: float
    bytes: int
    ok: bool


def labels_of_total() -> LabelScheme:
    """TotalSegmentator's 117 structures."""
    known = load_recipe("totalsegmentator:297").labels
    classes = [LabelClass(name=name, values=(int(value),)) for name, value in known.items()]  # type: ignore[arg-type]
    return LabelScheme(classes=tuple(classes))


def make_model(folder: Path) -> None:
    """Writes a result folder of nnU-Net with random weights."""
    labels = labels_of_total()
    configuration = Configuration(
        name="3d_fullres",
        spacing_mm=(1.5, 1.5, 1.5),
        orientation=None,
        transpose=(0, 1, 2),
        channels=(
            ChannelPlan(
                name="CT",
                normalisation="ct",
                use_mask=False,
                statistics=IntensityStatistics(
                    mean=-50.0,
                    median=0.0,
                    std=370.0,
                    minimum=-1024.0,
                    maximum=3000.0,
                    percentile_00_5=-1000.0,
                    percentile_99_5=1000.0,
                ),
            ),
        ),
        labels=labels,
        patch_size=(128, 128, 128),
        batch_size=2,
        median_shape=(240.0, 240.0, 240.0),
        object_mm=None,
        network=NetworkSpec(
            architecture="plain_unet",
            features=(32, 64, 128, 256, 320, 320),
            kernel_sizes=((3, 3, 3),) * 6,
            strides=((1, 1, 1), *((2, 2, 2),) * 5),
            encoder_blocks=(2,) * 6,
            decoder_blocks=(2,) * 5,
        ),
        training=nnunet_training(labels, 3),
        memory_bytes=0,
        seed=0,
    )
    torch.manual_seed(0)
    network = build_network(configuration.network, 1, labels.num_outputs)
    provenance = Provenance(
        dataset="Dataset291_Made",
        fold="0",
        train_cases=(),
        val_cases=(),
        file_ending=".nii.gz",
        steps=0,
        val_dice=None,
    )
    weights = network.state_dict()
    model = Checkpoint(configuration=configuration, weights=weights, provenance=provenance)
    export_nnunet({"0": model}, folder)


def make_image(source: Path, target: Path, shape: tuple[int, int, int]) -> None:
    """Resamples a CT to a shape (x, y, z); its field of view is stretched to the made spacing."""
    image = sitk.ReadImage(str(source))
    image.SetOrigin((0.0, 0.0, 0.0))
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1))
    made = [size * step for size, step in zip(shape, SPACING_MM, strict=True)]
    have = zip(made, image.GetSize(), strict=True)
    image.SetSpacing([length / size for length, size in have])
    grid = sitk.Image(*shape, sitk.sitkInt16)
    grid.SetSpacing(SPACING_MM)
    target.parent.mkdir(parents=True, exist_ok=True)
    resampled = sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, -1024, sitk.sitkInt16)
    sitk.WriteImage(resampled, str(target), True)


def tree_bytes(root: int) -> int:
    """Resident memory of a process and all that it started; shared pages count once (PSS)."""
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        place = Path(f"/proc/{process}")
        try:
            for line in (place / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
            for task in (place / "task").iterdir():
                waiting += [int(part) for part in (task / "children").read_text().split()]
        except OSError:
            continue
    return total


def measure(command: list[str], log: Path, **environment: str) -> Usage:
    """Runs a command; ends it where it takes more memory than the machine has."""
    started, peak, ended = time.perf_counter(), 0, False
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        while process.poll() is None:
            peak = max(peak, tree_bytes(process.pid))
            if peak > LIMIT_BYTES:
                os.killpg(process.pid, 9)
                ended = True
            time.sleep(EVERY_S)
    ok = process.returncode == 0 and not ended
    return Usage(seconds=time.perf_counter() - started, bytes=peak, ok=ok)


def compare_programs(arguments: argparse.Namespace) -> None:
    """Prints the table of both programs."""
    work: Path = arguments.work
    shape = tuple(arguments.shape)
    image = work / f"{'x'.join(map(str, shape))}/images/case_0000.nii.gz"
    if not image.is_file():
        make_image(arguments.image, image, shape)  # type: ignore[arg-type]
    model = work / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    if not (model / "plans.json").is_file():
        make_model(model)
    rows = {}
    ours = image.parent.parent / "ours"
    command = ["autoseg_predict", str(model), "-i", str(image.parent), "-o", str(ours)]
    command += ["--no-tta", "--overwrite", "--device", "cpu"]
    if arguments.memory:
        command += ["--memory", arguments.memory]
    rows["autoseg_predict"] = measure(command, work / "ours.log")
    if arguments.nnunet:
        other = image.parent.parent / "theirs"
        code = (
            "from nnunetv2.inference.predict_from_raw_data import predict_entry_point_modelfolder;"
            "predict_entry_point_modelfolder()"
        )
        command = [sys.executable, "-c", code, "-m", str(model), "-i", str(image.parent)]
        command += ["-o", str(other), "-f", "0", "--disable_tta", "-device", "cpu"]
        folders = dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), str(work))
        rows["nnUNetv2_predict"] = measure(
            command, work / "theirs.log", PYTHONPATH=arguments.nnunet, **folders
        )
    print(f"CT {' × '.join(map(str, shape))}, {labels_of_total().num_outputs - 1} classes")
    print("| program | time | peak memory | time against ours | memory against ours |")
    print("|---|---|---|---|---|")
    first = rows["autoseg_predict"]
    for name, row in rows.items():
        note = "" if row.ok else " (did not finish)"
        print(
            f"| {name}{note} | {row.seconds:.0f} s | {row.bytes / 2**30:.2f} GiB "
            f"| {row.seconds / first.seconds:.2f} | {row.bytes / first.bytes:.2f} |"
        )
    if len(rows) > 1 and all(row.ok for row in rows.values()):
        maps = [
            sitk.GetArrayFromImage(sitk.ReadImage(str(part / "case.nii.gz")))
            for part in (ours, other)
        ]
        print(f"equal labels: {(maps[0] == maps[1]).mean():.4%}")


def compare_restoring(arguments: argparse.Namespace) -> None:
    """Prints the table of restoring logits that are in memory."""
    x, y, z = arguments.shape
    full = (z, y, x)
    spacing = SPACING_MM[::-1]
    low = tuple(round(size * step / 1.5) for size, step in zip(full, spacing, strict=True))
    scheme = labels_of_total()
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(
        1, scheme.num_outputs, *(max(2, size // 8) for size in low), generator=generator
    )
    logits = torch.empty(scheme.num_outputs, *low)
    for index in range(len(logits)):  # blobs as smooth as organs
        logits[index] = torch.nn.functional.interpolate(
            coarse[:, index : index + 1], size=low, mode="trilinear"
        )[0, 0]
    restoration = Restoration(
        shape=full,
        coarse=None,
        axes=(0, 1, 2),
        flips=(False, False, False),
        crop=tuple((0, size) for size in full),
        full_shape=full,
    )
    part = Part(source=ArraySource(logits), restoration=restoration)
    started = time.perf_counter()
    ours = assemble_labels(
        part, scheme, grid_planes.label_values(scheme), find_windows([part], scheme)
    )
    seconds = time.perf_counter() - started
    print(f"{scheme.num_outputs} channels, {' × '.join(map(str, low))} → {x} × {y} × {z}")
    print(f"autoseg: {seconds:.1f} s")
    if not arguments.nnunet:
        return
    sys.path.insert(0, arguments.nnunet.split(":")[0])
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

    chosen = logits[: arguments.channels].numpy()
    started = time.perf_counter()
    resample_data_or_seg_to_shape(
        chosen, full, (1.5,) * 3, spacing, is_seg=False, order=1, order_z=0, force_separate_z=None
    )
    per_channel = (time.perf_counter() - started) / len(chosen)
    whole = per_channel * scheme.num_outputs
    print(
        f"nnU-Net's resampling: {per_channel:.2f} s per channel ({len(chosen)} measured), "
        f"{whole:.0f} s for all, without the argmax: {whole / seconds:.1f} times as long"
    )
    del ours


def main() -> None:
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path, nargs="?")
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 400))
    parser.add_argument("--memory", default="")
    parser.add_argument("--nnunet", default="", help="where nnunetv2 is; for PYTHONPATH")
    parser.add_argument("--restore", action="store_true")
    parser.add_argument("--channels", type=int, default=3, help="channels that nnU-Net resamples")
    arguments = parser.parse_args()
    np.seterr(all="raise")
    if arguments.restore:
        compare_restoring(arguments)
    else:
        compare_programs(arguments)


if __name__ == "__main__":
    main()
