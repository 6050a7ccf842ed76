r"""Writes plans/golden anew from the real data; look at the differences before you commit them.

python -m tests.tools.make_golden ../shared/data/Dataset004_Hippocampus \
    ../shared/data/Dataset027_ACDC
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from autoseg.datasets.fingerprint import make_fingerprint
from autoseg.datasets.folder import read_dataset
from autoseg.schema import serialise
from tests.planning.test_golden import GOLDEN, golden_dataset, golden_plan


def main() -> None:
    """Makes one folder per data set."""
    for root in map(Path, sys.argv[1:]):
        name = root.name.split("_", 1)[1]
        folder = GOLDEN / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "dataset.json", folder / "dataset.json")
        fingerprint = replace(make_fingerprint(read_dataset(root)[0], workers=2), signature="")
        serialise.save(fingerprint, folder / "fingerprint.json")
        dataset = golden_dataset(name, fingerprint)
        for planner in ("auto", "nnunet"):
            plan = golden_plan(planner, dataset, fingerprint)
            serialise.save(plan, folder / f"{planner}.yaml")


if __name__ == "__main__":
    main()
