"""Planned against measured memory: trains a few steps of every configuration and prints a table.

python tests/benchmarks/memory.py DATASET WORKSPACE --memory 3GB

Plans all configurations for the memory, through the installed commands, and compares the planner's
estimate with the peak of the resident memory of `autoseg_train`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from autoseg.planned import load_plan
from autoseg.schema import serialise
from autoseg.workspace import Workspace
from tests.benchmarks.configurations import run

STEPS = 3


def main() -> None:
    """Runs everything and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--memory", default="3GB")
    parser.add_argument("--network", default="plain")
    parser.add_argument("--configurations", nargs="+", default=["all"])
    arguments = parser.parse_args()
    place = Workspace(arguments.workspace)
    options = ["--memory", arguments.memory, "--network", arguments.network]
    options += ["--configurations", *arguments.configurations]
    run("autoseg_plan", arguments.dataset, "--workspace", str(place.root), *options)
    made = load_plan(place)
    short = {
        name: replace(item, training=replace(item.training, epochs=1, steps_per_epoch=STEPS))
        for name, item in made.configurations.items()
    }
    serialise.save(replace(made, configurations=short), place.plan)
    rows = []
    for name, item in short.items():
        if item.previous is not None:
            continue  # these need the trained networks that they build on
        _, peak = run("autoseg_train", str(place.root), name, "0")
        ratio = item.memory_bytes / peak
        patch = "×".join(map(str, item.patch_size))
        rows.append(
            f"| {name} | {patch}, {item.batch_size} | {item.memory_bytes / 2**30:.2f} GB | "
            f"{peak / 2**30:.2f} GB | {ratio:.2f} |"
        )
        print(rows[-1], flush=True)
    print("| configuration | patch, batch | planned | measured | planned / measured |")
    print("|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
