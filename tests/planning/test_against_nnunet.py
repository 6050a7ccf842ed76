"""The planner `nnunet` against plans that nnU-Net 2.8.1 made of the same fingerprints."""

from __future__ import annotations

import json

import pytest

from autoseg.errors import InputError
from autoseg.planning.planners.nnunet import plan_nnunet
from autoseg.planning.planners.request import Request
from tests.conftest import ROOT
from tests.planning.made_up import BUDGET
from tests.tools.nnunet_files import dataset_of, fingerprint_of

FOLDER = ROOT / "plans" / "golden" / "nnunet"
FILES = sorted(FOLDER.glob("*.json"))


def read(path):
    """Data set, fingerprint and nnU-Net's plans."""
    plain = json.loads(path.read_text())
    measured = plain["fingerprint"]
    dataset = dataset_of(
        path.stem, plain["channel_names"], plain["dataset"], len(measured["spacings"])
    )
    return dataset, fingerprint_of(measured), plain["plans"]


@pytest.mark.parametrize("network", ["plain", "M", "L", "XL"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_configuration_is_nnunets(path, network):
    dataset, fingerprint, plans = read(path)
    expected = plans[network]
    plan = plan_nnunet(dataset, fingerprint, BUDGET, Request(network=network))
    assert {made.training.augmentation for made in plan.configurations.values()} == {"nnunet"}
    wanted = expected["configurations"]
    assert set(plan.configurations) == set(wanted)
    for name, numbers in wanted.items():
        found = plan.configurations[name]
        assert list(found.transpose) == expected["transpose_forward"]
        if name == "3d_cascade_fullres":
            assert numbers["previous_stage"] == found.previous.names[0] == "3d_lowres"
            numbers = wanted[numbers["inherits_from"]]  # noqa: PLW2901
        assert list(found.patch_size) == numbers["patch_size"]
        assert found.batch_size == numbers["batch_size"]
        assert list(found.median_shape) == numbers["median_image_size_in_voxels"]
        spacing = list(found.spacing_mm)[-found.dimensions :]
        assert spacing == pytest.approx(numbers["spacing"], rel=1e-12)
        assert found.training.batch_dice == numbers["batch_dice"]
        assert [list(item) for item in found.network.strides] == numbers["strides"]
        assert [list(item) for item in found.network.kernel_sizes] == numbers["kernel_sizes"]


def test_a_cascade_that_is_not_needed_is_dropped_or_refused():
    dataset, fingerprint, _ = read(FOLDER / "TinyMR.json")
    plan = plan_nnunet(dataset, fingerprint, BUDGET, Request())
    dropped = {item.configuration: item.reason for item in plan.decisions if item.dropped}
    assert set(dropped) == {"3d_lowres", "3d_cascade_fullres"}
    with pytest.raises(InputError, match="3d_cascade_fullres: not planned, a patch of 3d_fullres"):
        plan_nnunet(dataset, fingerprint, BUDGET, Request(configurations=("3d_cascade_fullres",)))


def test_a_cascade_brings_its_first_stage():
    dataset, fingerprint, _ = read(FOLDER / "LargeCT.json")
    request = Request(configurations=("3d_cascade_fullres",))
    plan = plan_nnunet(dataset, fingerprint, BUDGET, request)
    assert list(plan.configurations) == ["3d_lowres", "3d_cascade_fullres"]
