"""Fingerprint and plan pairs under plans/golden that must be reproduced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoseg.datasets.fingerprint import make_fingerprint
from autoseg.datasets.folder import label_scheme_from, read_dataset
from autoseg.planning.budget import Budget
from autoseg.planning.planners import PLANNERS
from autoseg.planning.planners.request import Request
from autoseg.schema import serialise
from autoseg.schema.dataset import Case, Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Plan
from tests.conftest import ROOT

GOLDEN = ROOT / "plans" / "golden"
BUDGET = Budget(device="cpu", memory_bytes=8 * 2**30, time_s=None)
NAMES = sorted(path.parent.name for path in GOLDEN.glob("*/fingerprint.json"))


def golden_dataset(name: str, fingerprint: Fingerprint) -> Dataset:
    """The data set that a golden fingerprint was made of, without its files."""
    folder = GOLDEN / name
    description = serialise.read_mapping(folder / "dataset.json")
    return Dataset(
        name=name,
        root=folder,
        channel_names=tuple(description["channel_names"].values()),
        labels=label_scheme_from(folder / "dataset.json"),
        file_ending=description["file_ending"],
        cases=tuple(Case(identifier=case, images=()) for case in fingerprint.cases),
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("planner", ["auto", "nnunet"])
def test_plans_are_reproduced(name, planner):
    fingerprint = serialise.load(Fingerprint, GOLDEN / name / "fingerprint.json")
    dataset = golden_dataset(name, fingerprint)
    plan = PLANNERS[planner](dataset, fingerprint, BUDGET, Request())
    expected = serialise.load(Plan, GOLDEN / name / f"{planner}.yaml")
    assert plan == expected


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_fingerprints_are_reproduced(real_data, name):
    (folder,) = real_data.glob(f"Dataset*_{name}")
    expected = serialise.load(Fingerprint, GOLDEN / name / "fingerprint.json")
    found = make_fingerprint(read_dataset(folder)[0], workers=2)
    assert replace(found, signature=expected.signature) == expected
