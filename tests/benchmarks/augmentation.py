"""Both augmentation schemes: ours in torch (standard), and nnU-Net's by batchgenerators (nnunet).

python -m tests.benchmarks.augmentation
    seconds per sample of synthetic patches

python -m tests.benchmarks.augmentation --workspace WS --configuration 3d_fullres
    batches per second alone and steps per second in a training, from real preprocessed cases

python -m tests.benchmarks.augmentation --workspace WS --configuration 3d_fullres --epochs 10
    trains both for the same number of steps in copies of the workspace, and scores them
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from autoseg.augmentation.intensity import draw_intensity
from autoseg.augmentation.nnunet_scheme import nnunet_chain, source_size
from autoseg.augmentation.spatial import draw_matrix, resample
from autoseg.augmentation.spatial import source_size as needed_size
from autoseg.checkpoint import Provenance
from autoseg.planned import load_dataset, load_fold, load_plan
from autoseg.preprocessing.store import Store, store_key
from autoseg.schema import serialise
from autoseg.schema.plan import Configuration
from autoseg.training.augmenter import batch_source
from autoseg.training.batches import Batch
from autoseg.training.patches import PatchSampler
from autoseg.training.trainer import Task, Trainer
from autoseg.workspace import Workspace
from tests.benchmarks.configurations import run
from tests.conftest import make_configuration

ROUNDS = 3
"""Every measurement is repeated in turn with the others, and the fastest counts."""


def own(seed: int, source: np.ndarray, labels: np.ndarray, patch: tuple[int, ...]) -> None:
    """One sample with our augmentation, cropping included."""
    rng = np.random.default_rng(seed)
    matrix = draw_matrix(rng, patch)
    size = needed_size(matrix, patch)
    start = [max((have - need) // 2, 0) for have, need in zip(source.shape[1:], size, strict=True)]
    box = tuple(slice(low, low + need) for low, need in zip(start, size, strict=True))
    image = torch.from_numpy(source[(slice(None), *box)])
    target = torch.from_numpy(labels[box])
    if matrix is None:
        image = image.clone()
    else:
        image = resample(image, matrix, patch, labels=False)
        resample(target[None].float(), matrix, patch, labels=True)
    for channel, operation in draw_intensity(rng, image.shape[0], 3):
        image[channel] = operation(image[channel])


def print_alone() -> None:
    """Seconds per sample of the transforms alone."""
    print("| patch | nnunet, s per sample | standard, s per sample | ratio |")
    print("|---|---|---|---|")
    for patch, samples in (((40, 56, 40), 60), ((64, 96, 96), 30)):
        rng = np.random.default_rng(0)
        size = source_size(patch)
        source = rng.normal(size=(1, *size)).astype(np.float32)
        labels = rng.integers(0, 3, size).astype(np.int16)
        chain = nnunet_chain(make_configuration(patch_size=patch))
        np.random.seed(0)
        begun = time.perf_counter()
        for _ in range(samples):
            chain({"data": source[None].copy(), "seg": labels[None, None].copy()})
        usual = (time.perf_counter() - begun) / samples
        begun = time.perf_counter()
        for seed in range(samples):
            own(seed, source, labels, patch)
        fast = (time.perf_counter() - begun) / samples
        name = "×".join(map(str, patch))
        print(f"| {name} | {usual:.4f} | {fast:.4f} | {usual / fast:.1f} |")


def with_scheme(configuration: Configuration, name: str) -> Configuration:
    """The configuration with another augmentation."""
    return replace(configuration, training=replace(configuration.training, augmentation=name))


def make_trainer(workspace: Workspace, configuration: Configuration) -> Trainer:
    """A trainer on fold 0 that writes nothing."""
    cases = load_fold(workspace, load_dataset(workspace), 0)
    provenance = Provenance(
        dataset="",
        fold="0",
        train_cases=cases.train,
        val_cases=cases.val,
        file_ending="",
        steps=0,
        val_dice=None,
    )
    task = Task(
        configuration=configuration,
        store=Store(workspace.preprocessed(store_key(configuration))),
        train_cases=cases.train,
        val_cases=cases.val,
        provenance=provenance,
        run=workspace.run(configuration.name, 0),
    )
    return Trainer(task, device="cpu")


def print_throughput(workspace: Workspace, name: str, count: int) -> None:
    """Batches per second alone and steps per second in a training."""
    given = load_plan(workspace).configurations[name]
    variants = [("standard", 0), ("nnunet", 0), ("nnunet", 1), ("nnunet", 2)]
    alone: dict[tuple[str, int], float] = {}
    trained: dict[tuple[str, int], float] = {}
    trainer = make_trainer(workspace, given)
    trainer.network.train()
    for number in range(ROUNDS):
        for variant in variants:
            scheme, workers = variant
            configuration = with_scheme(given, scheme)
            task = trainer.task
            sampler = PatchSampler(task.store, task.train_cases, configuration)
            device = torch.device("cpu")
            with batch_source(sampler, configuration, device, workers) as source:
                next(source([(number, 0)]))  # starts the processes, opens the cases
                for kept, work in ((alone, None), (trained, trainer._train_step)):
                    seeds = [(number, int(work is None), index) for index in range(count)]
                    rate = count / seconds(source(seeds), work)
                    kept[variant] = max(rate, kept.get(variant, 0.0))
    print("| scheme | processes | batches/s alone | steps/s in a training |")
    print("|---|---|---|---|")
    for scheme, workers in variants:
        key = (scheme, workers)
        print(f"| {scheme} | {workers} | {alone[key]:.2f} | {trained[key]:.2f} |")
    ratio = alone["standard", 0] / alone["nnunet", 0]
    print(f"standard makes {ratio:.1f} times as many batches as nnunet in one process.")


def seconds(batches: Iterable[Batch], work: Callable[[Batch], object] | None) -> float:
    """Time until all batches are made, and some work on each of them is done."""
    begun = time.perf_counter()
    for batch in batches:
        if work is not None:
            work(batch)
    return time.perf_counter() - begun


def print_scores(workspace: Workspace, name: str, epochs: int, steps: int, seed: int) -> None:
    """Dice after the same number of steps."""
    made = load_plan(workspace)
    given = made.configurations[name]
    print("| scheme | steps | Dice per class | mean Dice | seconds |")
    print("|---|---|---|---|---|")
    for scheme in ("standard", "nnunet"):
        copied = Workspace(workspace.root.with_name(f"{workspace.root.name}_{scheme}_{seed}"))
        if not copied.root.exists():
            ignored = shutil.ignore_patterns("runs")
            shutil.copytree(workspace.root, copied.root, ignore=ignored)
        training = replace(
            given.training,
            augmentation=scheme,
            epochs=epochs,
            steps_per_epoch=steps,
            time_budget_s=None,
        )
        changed = replace(given, training=training, seed=seed)
        serialise.save(replace(made, configurations={name: changed}), copied.plan)
        taken, _ = run("autoseg_train", str(copied.root), name, "0", "--resume")
        run("autoseg_validate", str(copied.root), name, "0")
        summary = copied.run(name, 0).validation / "summary.json"
        classes = json.loads(summary.read_text())["mean_per_class"]
        dice = [values["dice"] for values in classes.values()]
        each = ", ".join(f"{value:.3f}" for value in dice)
        mean = np.mean(dice)
        print(f"| {scheme} | {epochs * steps} | {each} | {mean:.4f} | {taken:.0f} |", flush=True)


def main() -> None:
    """Prints what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--configuration", default="3d_fullres")
    parser.add_argument("--count", type=int, default=20, help="batches per measurement")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--steps", type=int, default=60, help="per epoch")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.workspace is None:
        print_alone()
        return
    workspace = Workspace(given.workspace)
    if given.epochs is None:
        print_throughput(workspace, given.configuration, given.count)
    else:
        print_scores(workspace, given.configuration, given.epochs, given.steps, given.seed)


if __name__ == "__main__":
    main()
