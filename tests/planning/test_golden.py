"""Fingerprint and plan pairs under plans/golden that must be reproduced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoseg.datasets.fingerprint import make_fingerprint
from autoseg.datasets.folder import read_dataset
from autoseg.datasets.label_table import read_labels
from autoseg.planning.budget import Budget
from autoseg.planning.measured_costs import MeasuredCosts
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
    where = GOLDEN / name / "dataset.json"
    description = serialise.read_mapping(where)
    labels = read_labels(description, where, lambda path, fault: pytest.fail(f"{path}: {fault}"))
    return Dataset(
        name=name,
        root=where.parent,
        channel_names=tuple(description["channel_names"].values()),
        labels=labels,
        file_ending=description["file_ending"],
        cases=tuple(Case(identifier=case, images=()) for case in fingerprint.cases),
    )


def golden_plan(planner: str, dataset: Dataset, fingerprint: Fingerprint) -> Plan:
    """The plan; `auto` has its memory traced, as users have it."""
    costs = MeasuredCosts("cpu", dataset, fingerprint) if planner == "auto" else None
    return PLANNERS[planner](dataset, fingerprint, replace(BUDGET, costs=costs), Request())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("planner", ["auto", "nnunet"])
def test_plans_are_reproduced(name, planner):
    fingerprint = serialise.load(Fingerprint, GOLDEN / name / "fingerprint.json")
    plan = golden_plan(planner, golden_dataset(name, fingerprint), fingerprint)
    expected = serialise.load(Plan, GOLDEN / name / f"{planner}.yaml")
    for key, item in expected.configurations.items():
        # What operations keep for the backward pass differs a little between versions of torch.
        found = plan.configurations[key]
        assert found.memory_bytes == pytest.approx(item.memory_bytes, rel=0.03)
        plan.configurations[key] = replace(found, memory_bytes=item.memory_bytes)
    assert plan == expected


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_fingerprints_are_reproduced(real_data, name):
    (folder,) = real_data.glob(f"Dataset*_{name}")
    expected = serialise.load(Fingerprint, GOLDEN / name / "fingerprint.json")
    found = make_fingerprint(read_dataset(folder)[0], workers=2)
    assert replace(found, signature=expected.signature) == expected
