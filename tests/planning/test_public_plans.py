"""The planner `nnunet` against plans that nnU-Net made of real data sets of other people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoseg.datasets.label_table import read_labels
from autoseg.planning.planners.nnunet import plan_nnunet
from autoseg.planning.planners.request import Request
from autoseg.schema.dataset import Case, Dataset
from tests.conftest import shared_folder
from tests.planning.made_up import BUDGET
from tests.tools.nnunet_files import case_name, fingerprint_of

NETWORKS = {
    "ExperimentPlanner": "plain",
    "nnUNetPlannerResEncM": "M",
    "nnUNetPlannerResEncL": "L",
}
NUM_CONFIGURATIONS = 98


def pairs() -> list[Path]:
    """Plans that have their fingerprint and dataset.json beside them."""
    models = shared_folder("models")
    if models is None:
        return []
    beside = ("dataset.json", "dataset_fingerprint.json")
    return [
        path
        for path in sorted((models / "plans_public").rglob("*lans*.json"))
        if all((path.parent / name).is_file() for name in beside)
    ]


PAIRS = pairs()
NAMES = [f"{path.parent.name}-{path.stem}" for path in PAIRS]
without = pytest.mark.skipif(not PAIRS, reason="no public plans beside the real data")


def read(path):
    """Data set, fingerprint and nnU-Net's plans."""
    description = json.loads((path.parent / "dataset.json").read_text())
    measured = json.loads((path.parent / "dataset_fingerprint.json").read_text())
    fingerprint = fingerprint_of(measured)
    names = description.get("channel_names") or description["modality"]
    labels = read_labels(description, path, lambda where, fault: pytest.fail(f"{where}: {fault}"))
    dataset = Dataset(
        name=path.parent.name,
        root=None,
        channel_names=tuple(names.values()),
        labels=labels,
        file_ending=description["file_ending"],
        cases=tuple(
            Case(identifier=case_name(index), images=())
            for index in range(description["numTraining"])
        ),
    )
    return dataset, fingerprint, json.loads(path.read_text())


def resolved(configurations, name):
    """nnU-Net's numbers of a configuration, those that it inherits included."""
    numbers = dict(configurations[name])
    parent = numbers.pop("inherits_from", None)
    return {**resolved(configurations, parent), **numbers} if parent else numbers


@without
def test_all_pairs_are_there():
    count = sum(len(json.loads(path.read_text())["configurations"]) for path in PAIRS)
    assert (len(PAIRS), count) == (33, NUM_CONFIGURATIONS)


@without
@pytest.mark.data
@pytest.mark.parametrize("path", PAIRS, ids=NAMES)
def test_every_configuration_is_nnunets(path):
    dataset, fingerprint, expected = read(path)
    network = NETWORKS[expected["experiment_planner_used"]]
    plan = plan_nnunet(dataset, fingerprint, BUDGET, Request(network=network))
    wanted = expected["configurations"]
    assert set(plan.configurations) == set(wanted)
    for name in wanted:
        numbers = resolved(wanted, name)
        found = plan.configurations[name]
        assert list(found.transpose) == expected["transpose_forward"]
        assert list(found.patch_size) == numbers["patch_size"]
        assert found.batch_size == numbers["batch_size"]
        assert list(found.median_shape) == numbers["median_image_size_in_voxels"]
        spacing = [found.spacing_mm[axis] for axis in found.patch_axes]
        assert spacing == pytest.approx(numbers["spacing"], rel=1e-9)
        assert (found.previous.names[0] if found.previous else None) == numbers.get(
            "previous_stage"
        )
        assert found.training.batch_dice == numbers["batch_dice"]
        assert [item.use_mask for item in found.channels] == numbers["use_mask_for_norm"]
        check_network(found.network, numbers)


def check_network(found, numbers):
    """Compares a network with the numbers of plans of either age."""
    arguments = numbers.get("architecture", {}).get("arch_kwargs") or numbers
    strides = arguments.get("strides") or arguments["pool_op_kernel_sizes"]
    kernels = arguments.get("kernel_sizes") or arguments["conv_kernel_sizes"]
    assert [list(item) for item in found.strides] == strides
    assert [list(item) for item in found.kernel_sizes] == kernels
    if "features_per_stage" in arguments:
        assert list(found.features) == arguments["features_per_stage"]
