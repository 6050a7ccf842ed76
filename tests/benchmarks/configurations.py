"""Trains configurations of one data set for the same time and prints a table for the README.

python tests/benchmarks/configurations.py DATASET WORKSPACE --time-budget 10m
    --configurations 2d 2.5d 3d_fullres 3d_fullres_swin_unetr 3d_fullres_dformer 3d_fullres_primus

Uses the installed commands, one after the other, on fold 0. What is done is kept in
WORKSPACE/benchmark.json, so that an interrupted benchmark goes on with the same command.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from autoseg.costs.training_memory import count_parameters
from autoseg.planned import load_plan
from autoseg.schema import serialise
from autoseg.schema.plan import Configuration
from autoseg.workspace import Workspace

USUAL = (
    "2d",
    "2.5d",
    "3d_fullres",
    "3d_fullres_swin_unetr",
    "3d_fullres_dformer",
    "3d_fullres_primus",
)


def run(*command: str) -> tuple[float, int]:
    """Runs a command; returns seconds and the peak of its resident memory in bytes."""
    begun = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - begun, usage.ru_maxrss * 1024


def measure(workspace: Path, name: str) -> dict[str, Any]:
    """Trains and validates one configuration."""
    seconds, peak = run("autoseg_train", str(workspace), name, "0", "--resume")
    run("autoseg_validate", str(workspace), name, "0")
    return {"seconds": seconds, "peak_bytes": peak}


def row(workspace: Path, name: str, measured: dict[str, Any]) -> str:
    """One line of the table."""
    training = Workspace(workspace).run(name, 0)
    item = serialise.load(Configuration, training.configuration)
    summary = json.loads((training.validation / "summary.json").read_text())
    dice = {label: values["dice"] for label, values in summary["mean_per_class"].items()}
    with training.history.open() as stream:
        last = list(csv.DictReader(stream))[-1]
    mean = sum(dice.values()) / len(dice)
    step_s = float(last["elapsed_s"]) / int(last["step"])
    cells = [
        name,
        *(f"{value:.3f}" for value in dice.values()),
        f"{mean:.3f}",
        f"{count_parameters(item) / 1e6:.2f} M",
        last["step"],
        f"{step_s:.2f} s",
        f"{measured['peak_bytes'] / 2**30:.2f} GB",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--time-budget", default="10m")
    parser.add_argument("--configurations", nargs="+", default=USUAL)
    arguments = parser.parse_args()
    workspace = arguments.workspace
    if not (workspace / "plan.yaml").is_file():
        run(
            "autoseg_plan",
            arguments.dataset,
            "--workspace",
            str(workspace),
            "--time-budget",
            arguments.time_budget,
            "--configurations",
            *arguments.configurations,
        )
    kept = workspace / "benchmark.json"
    done: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    for name in arguments.configurations:
        if name not in done:
            done[name] = measure(workspace, name)
            kept.write_text(json.dumps(done, indent=1))
    classes = next(iter(load_plan(Workspace(workspace)).configurations.values())).labels.class_names
    head = ["configuration", *classes, "mean Dice", "parameters", "steps", "per step"]
    head += ["peak memory"]
    print(f"| {' | '.join(head)} |")
    print(f"|{'---|' * len(head)}")
    for name in arguments.configurations:
        print(row(workspace, name, done[name]))


if __name__ == "__main__":
    main()
