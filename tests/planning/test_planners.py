"""The planner `nnunet` gives nnU-Net's own plans; `auto` fits them to a budget."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from autoseg.errors import InputError, UnknownNameError
from autoseg.planning.families import FAMILIES
from autoseg.planning.planners.auto import plan_auto
from autoseg.planning.planners.nnunet import plan_nnunet
from autoseg.planning.planners.request import Request
from autoseg.planning.planners.time_budget import fit_to_time
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from tests.planning.made_up import BUDGET, GIGABYTE, MadeUpCosts, made_up
from tests.tools.nnunet_files import dataset_of, fingerprint_of

NAMES = {"ct": "CTNormalization", "zscore": "ZScoreNormalization"}


def from_nnunet(folder) -> tuple[Dataset, Fingerprint]:
    """Our value objects from nnU-Net's fingerprint and dataset.json."""
    description = json.loads((folder / "dataset.json").read_text())
    measured = json.loads((folder / "dataset_fingerprint.json").read_text())
    return (
        dataset_of(
            folder.name,
            description["channel_names"],
            description["labels"],
            description["numTraining"],
        ),
        fingerprint_of(measured),
    )


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "file", "network"),
    [
        ("hippocampus", "nnUNetPlans", "plain"),
        ("hippocampus", "nnUNetResEncUNetMPlans", "M"),
        ("acdc", "nnUNetPlans", "plain"),
        ("tinyct", "nnUNetPlans", "plain"),
    ],
)
@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_plans_are_nnunets_number_by_number(reference_models, name, file, network, configuration):
    folder = reference_models / "plans" / name
    expected = json.loads((folder / f"{file}.json").read_text())
    wanted = expected["configurations"][configuration]
    arguments = wanted["architecture"]["arch_kwargs"]
    dataset, fingerprint = from_nnunet(folder)
    plan = plan_nnunet(dataset, fingerprint, BUDGET, Request(network=network))
    found = plan.configurations[configuration]
    dims = found.dimensions
    assert list(found.transpose) == expected["transpose_forward"]
    spacing = list(found.spacing_mm)[-dims:]
    assert spacing == pytest.approx(wanted["spacing"], abs=0, rel=1e-12)
    assert list(found.patch_size) == wanted["patch_size"]
    assert found.batch_size == wanted["batch_size"]
    assert list(found.median_shape) == wanted["median_image_size_in_voxels"]
    assert [list(item) for item in found.network.strides] == arguments["strides"]
    assert [list(item) for item in found.network.kernel_sizes] == arguments["kernel_sizes"]
    assert list(found.network.features) == arguments["features_per_stage"]
    blocks = arguments.get("n_conv_per_stage") or arguments["n_blocks_per_stage"]
    assert list(found.network.encoder_blocks) == blocks
    assert list(found.network.decoder_blocks) == arguments["n_conv_per_stage_decoder"]
    assert [NAMES[item.normalisation] for item in found.channels] == wanted["normalization_schemes"]
    assert [item.use_mask for item in found.channels] == wanted["use_mask_for_norm"]
    assert found.training.batch_dice == wanted["batch_dice"]
    assert (found.training.epochs, found.training.steps_per_epoch) == (1000, 250)
    if found.channels[0].normalisation == "ct":
        properties = expected["foreground_intensity_properties_per_channel"]["0"]
        assert found.channels[0].statistics.mean == properties["mean"]


def test_without_a_time_budget_auto_plans_nnunets_schedule():
    plan = plan_auto(*made_up(), BUDGET, Request())
    training = plan.configurations["3d_fullres"].training
    assert (training.epochs, training.steps_per_epoch, training.optimiser) == (1000, 250, "sgd")


def beside(index):
    """Two labels, of which one is always behind the other along y and always the lower along z."""
    return {"1": (0.2, 0.3, 0.5 - 0.2 * (index % 2)), "2": (0.7, 0.6, 0.4)}


def test_axes_along_which_labels_have_an_order_are_not_mirrored():
    plan = plan_auto(*made_up(centres=beside), BUDGET, Request())
    assert plan.configurations["3d_fullres"].training.mirror_axes == (2,)
    assert plan.configurations["2d"].training.mirror_axes == (1,)
    reasons = {item.topic: item for item in plan.decisions}
    assert reasons["mirroring along y"].value == "no"
    assert "a and label 2 are in the same order in 20 of 20 patients" in (
        reasons["mirroring along y"].reason
    )
    assert reasons["mirroring along x"].value == "yes"


def test_mirrored_axes_follow_the_transposition():
    dataset, fingerprint = made_up(
        shape=(100, 12, 100),
        spacing=(1.0, 6.0, 1.0),
        centres=lambda index: {"1": (0.2, 0.5, 0.5), "2": (0.7, 0.5, 0.5)},
    )
    plan = plan_auto(dataset, fingerprint, BUDGET, Request())
    found = plan.configurations["3d_fullres"]
    assert found.transpose == (1, 0, 2)
    assert found.training.mirror_axes == (0, 2)  # z, which has an order, is now the second axis


def test_mixed_orientations_are_brought_to_one():
    plan = plan_auto(*made_up(orientations=("LPS", "RAS")), BUDGET, Request())
    assert plan.configurations["3d_fullres"].orientation == "LPS"


@pytest.mark.parametrize("planner", [plan_auto, plan_nnunet])
@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR"])
def test_the_plan_holds_the_orientation_that_all_cases_share(planner, orientation):
    sizes = {"shape": (40, 56, 60), "spacing": (1.0, 1.0, 2.5)}
    plain = planner(*made_up(**sizes), BUDGET, Request()).configurations
    made = planner(*made_up(**sizes, orientations=(orientation,)), BUDGET, Request()).configurations
    assert {item.orientation for item in made.values()} == {orientation}
    # Nothing else changes: these are the axes as they are stored.
    back = {name: replace(item, orientation="LPS") for name, item in made.items()}
    assert back == plain


def test_nnunets_plan_of_mixed_orientations_leaves_them_as_they_are():
    plan = plan_nnunet(*made_up(orientations=("LPS", "RAS")), BUDGET, Request())
    assert {item.orientation for item in plan.configurations.values()} == {None}


def test_two_dimensional_images_have_no_orientation():
    dataset, fingerprint = made_up(shape=(1, 128, 128), spacing=(999.0, 1.0, 1.0))
    for planner in (plan_auto, plan_nnunet):
        (item,) = planner(dataset, fingerprint, BUDGET, Request()).configurations.values()
        assert item.orientation is None


def test_2d_images_have_no_3d_configuration():
    dataset, fingerprint = made_up(shape=(1, 128, 128), spacing=(999.0, 1.0, 1.0))
    plan = plan_auto(dataset, fingerprint, BUDGET, Request())
    assert list(plan.configurations) == ["2d"]
    with pytest.raises(InputError, match="two-dimensional"):
        plan_auto(dataset, fingerprint, BUDGET, Request(configurations=("3d_fullres",)))


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UnknownNameError, match="Unknown configuration '4d'. Known: 2.5d, 2d, "):
        plan_auto(*made_up(), BUDGET, Request(configurations=("4d",)))
    for planner in (plan_auto, plan_nnunet):
        with pytest.raises(UnknownNameError, match="Unknown network 'S'"):
            planner(*made_up(), BUDGET, Request(network="S"))


def test_less_memory_gives_smaller_patches():
    case = made_up(shape=(300, 300, 300))
    sizes = [
        plan_auto(*case, replace(BUDGET, memory_bytes=gigabytes * GIGABYTE), Request())
        .configurations["3d_fullres"]
        .patch_size
        for gigabytes in (1, 2, 4, 8)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_more_time_gives_wider_networks_and_enough_steps():
    base = plan_auto(*made_up(), BUDGET, Request()).configurations["3d_fullres"]
    widths, steps = [], []
    for minutes in (1, 10, 60, 600):
        budget = replace(BUDGET, time_s=60.0 * minutes, costs=MadeUpCosts(seconds=2e-8))
        fitted, reasons = fit_to_time(base, budget)
        widths.append(fitted.network.features[0])
        steps.append(fitted.training.epochs * fitted.training.steps_per_epoch)
        assert fitted.training.time_budget_s == 60 * minutes
        assert any("measured" in item.reason for item in reasons)
    assert widths == sorted(widths)
    assert widths[-1] == 32
    assert steps[-1] > steps[0] > 100


def test_a_slow_device_gets_the_smallest_candidate():
    base = plan_auto(*made_up(shape=(64, 200, 200)), BUDGET, Request()).configurations["3d_fullres"]
    fitted, _ = fit_to_time(
        base, replace(BUDGET, time_s=60.0, costs=MadeUpCosts(seconds=lambda _: 30.0))
    )
    assert fitted.network.features[0] == FAMILIES["plain_unet"].candidates[-1].width
    assert max(fitted.patch_size) < max(base.patch_size)


@pytest.mark.parametrize(("object_mm", "coarsens"), [(60.0, True), (20.0, False), (None, False)])
def test_images_are_coarsened_where_their_objects_stay_large_enough(object_mm, coarsens):
    case = made_up(shape=(10, 256, 216), spacing=(10.0, 1.5, 1.5))
    base = plan_auto(*case, BUDGET, Request()).configurations["3d_fullres"]
    base = replace(base, object_mm=object_mm)
    # So slow that only a candidate with half of the patch's voxels per axis fits.
    budget = replace(BUDGET, time_s=600.0, costs=MadeUpCosts(seconds=3.5e-8))
    fitted, _ = fit_to_time(base, budget)
    assert max(fitted.patch_size) <= 128
    assert fitted.patch_size[0] == base.patch_size[0]
    if coarsens:
        # What the patch sees in mm stays the same.
        seen = [
            size * step for size, step in zip(fitted.patch_size, fitted.spacing_mm, strict=True)
        ]
        before = [size * step for size, step in zip(base.patch_size, base.spacing_mm, strict=True)]
        assert seen == pytest.approx(before, rel=0.2)
        assert fitted.spacing_mm[0] == 10.0
    else:
        assert fitted.spacing_mm == base.spacing_mm


def test_a_long_budget_keeps_nnunets_network():
    base = plan_auto(*made_up(), BUDGET, Request()).configurations["3d_fullres"]
    fitted, _ = fit_to_time(
        base, replace(BUDGET, time_s=3600.0, costs=MadeUpCosts(seconds=lambda _: 0.01))
    )
    assert fitted.network == base.network
    assert fitted.training.optimiser == "sgd"
