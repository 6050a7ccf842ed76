"""What the planner offers: slices, cascades, paths, transformers, and recipes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from autoseg.architectures import build_network
from autoseg.cli import plan as plan_command
from autoseg.datasets.recipes import apply_recipe, list_recipes, load_recipe
from autoseg.errors import InputError, UnknownNameError
from autoseg.losses import build_loss
from autoseg.planning.explain import Cost, duration, explain
from autoseg.planning.planners.auto import EVERYTHING, TRANSFORMERS, plan_auto
from autoseg.planning.planners.nnunet import plan_nnunet
from autoseg.planning.planners.planes import count_slices, find_planes
from autoseg.planning.planners.request import Request, parse_configuration
from autoseg.preprocessing.normalisation import NORMALISATIONS
from autoseg.schema.dataset import Case, Dataset
from autoseg.schema.labels import LabelClass, LabelScheme
from tests.planning.made_up import BUDGET, GIGABYTE, MadeUpCosts, made_up

ALL = Request(configurations=("all",))
LARGE = {"shape": (300, 300, 300)}


@pytest.mark.parametrize(
    ("name", "base", "plane", "architecture"),
    [
        ("2d", "2d", None, None),
        ("2.5d_coronal", "2.5d", "coronal", None),
        ("3d_fullres_swin_unetr", "3d_fullres", None, "swin_unetr"),
        ("2d_sagittal_primus", "2d", "sagittal", "primus"),
        ("3d_cascade_fullres", "3d_cascade_fullres", None, None),
    ],
)
def test_names_have_parts(name, base, plane, architecture):
    found = parse_configuration(name)
    assert (found.base, found.plane, found.architecture) == (base, plane, architecture)


@pytest.mark.parametrize(
    "name", ["4d", "3d_fullres_axial", "multipath_2.5d_primus", "3d_fullres_unknown", "2d_"]
)
def test_unknown_configurations_and_architectures_are_refused(name):
    with pytest.raises(UnknownNameError):
        plan_auto(*made_up(), BUDGET, Request(configurations=(name,)))


@pytest.mark.parametrize("shape", [(7, 7, 7), (1, 6, 7), (16, 16, 16), (12, 7, 7)])
def test_what_is_planned_for_small_images_can_be_built(shape):
    case = made_up(shape=shape)
    base = "2d" if shape[0] == 1 else "3d_fullres"
    for planner in (plan_auto, plan_nnunet):
        for item in planner(*case, BUDGET, ALL).configurations.values():
            network = build_network(item.network, item.in_channels, 2)
            logits = network(torch.randn(2, item.in_channels, *item.patch_size))
            assert logits[0].shape == (2, 2, *item.patch_size), item.name
    if max(shape) < 8:
        plan = plan_auto(*case, BUDGET, ALL)
        dropped = {item.configuration: item.reason for item in plan.decisions if item.dropped}
        assert "too small for primus" in dropped[f"{base}_primus"]
        with pytest.raises(InputError, match=f"7 voxels, are too small .*Choose {base}"):
            plan_auto(*case, BUDGET, Request(configurations=(f"{base}_swin_unetr",)))


def test_all_plans_everything_that_fits_and_says_what_it_drops():
    plan = plan_auto(*made_up(), BUDGET, ALL)
    dropped = {item.configuration for item in plan.decisions if item.dropped}
    assert dropped == {"3d_lowres", "3d_cascade_fullres"}
    paths = {name for name in plan.configurations if name.startswith("path_")}
    assert len(paths) == 9
    assert set(plan.configurations) == set(EVERYTHING) - dropped | paths
    text = explain(plan, dict.fromkeys(plan.configurations, Cost(parameters=10**6, step_s=2.0)))
    assert "Not planned:" in text
    assert "- 3d_lowres: a patch of 3d_fullres sees" in text
    assert text.count("| about 5.8 days, 250000 steps of 2 s |") >= 5


def test_transformers_get_patches_that_their_strides_divide():
    for shape, spacing in (((300, 300, 300), (1.0, 1.0, 1.0)), ((10, 256, 216), (10.0, 1.5, 1.5))):
        plan = plan_auto(*made_up(shape=shape, spacing=spacing), BUDGET, ALL)
        for name in TRANSFORMERS:
            item = plan.configurations[f"3d_fullres_{name}"]
            divisor = item.network.divisor
            assert all(
                size % step == 0 for size, step in zip(item.patch_size, divisor, strict=True)
            )
            assert item.training.optimiser == "adamw"
            assert item.training.schedule == "warm_up_cosine"
            assert not item.training.deep_supervision


def test_flat_images_get_transformers_but_no_volumes():
    case = made_up(shape=(1, 256, 256), spacing=(999.0, 1.0, 1.0))
    plan = plan_auto(*case, BUDGET, ALL)
    assert set(plan.configurations) == {"2d", *(f"2d_{name}" for name in TRANSFORMERS)}
    with pytest.raises(InputError, match=r"2\.5d does not fit"):
        plan_auto(*case, BUDGET, Request(configurations=("2.5d",)))


def test_decisions_name_configurations_of_the_plan():
    budget = replace(BUDGET, time_s=600.0, costs=MadeUpCosts(seconds=1e-8))
    plan = plan_auto(*made_up(), budget, ALL)
    about = {item.configuration for item in plan.decisions if item.configuration is not None}
    dropped = {item.configuration for item in plan.decisions if item.dropped}
    paths = {name for name in plan.configurations if name.startswith("path_")}
    assert about == set(plan.configurations) - paths | dropped
    text = explain(plan, {})
    assert "- **3d_fullres: schedule**: about" in text
    assert "- **multipath_2.5d: path_axial, schedule**: about" in text
    assert "- **target spacing**: 1 × 1 × 1 mm" in text


def test_little_memory_makes_a_cascade():
    case = made_up(**LARGE)
    request = Request(memory=True)
    large = plan_auto(*case, replace(BUDGET, memory_bytes=200 * GIGABYTE), request)
    assert set(large.configurations) == {"2d", "3d_fullres"}
    small = plan_auto(
        *case, replace(BUDGET, memory_bytes=2 * GIGABYTE, costs=MadeUpCosts()), request
    )
    assert set(small.configurations) == {"2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"}
    lowres, second = (small.configurations[name] for name in ("3d_lowres", "3d_cascade_fullres"))
    assert lowres.spacing_mm[0] > second.spacing_mm[0] == 1.0
    assert second.previous.names == ("3d_lowres",)
    assert second.in_channels == 1 + 1
    with pytest.raises(InputError, match="not planned"):
        plan_auto(*case, BUDGET, Request(configurations=("3d_lowres",))) and plan_auto(
            *made_up(), BUDGET, Request(configurations=("3d_lowres",))
        )


@pytest.mark.parametrize("gigabytes", [1, 3, 6, 12])
def test_every_configuration_keeps_the_memory(gigabytes):
    budget = replace(BUDGET, memory_bytes=gigabytes * GIGABYTE, costs=MadeUpCosts())
    request = replace(ALL, memory=True)
    plan = plan_auto(*made_up(**LARGE), budget, request)
    for name, item in plan.configurations.items():
        assert item.memory_bytes <= budget.memory_bytes, name


def test_presets_use_all_the_memory_that_is_named():
    case = made_up(shape=(400, 400, 400))
    batches = []
    for gigabytes in (8, 16, 32):
        budget = replace(BUDGET, memory_bytes=gigabytes * GIGABYTE)
        plan = plan_auto(*case, budget, Request(network="M", memory=True))
        item = plan.configurations["3d_fullres"]
        batches.append(item.batch_size * item.patch_size[0] * item.patch_size[1])
    assert batches == sorted(batches)
    assert batches[-1] > batches[0]


@pytest.mark.parametrize(
    ("spacing", "axis", "count"),
    [((1, 1, 1), 0, 5), ((10, 1.5, 1.5), 0, 3), ((0.4, 1, 1), 0, 9), ((3, 1, 1), 1, 5)],
)
def test_the_slices_that_a_network_sees_follow_the_spacing(spacing, axis, count):
    assert count_slices(spacing, axis) == count


def test_planes_are_anatomical():
    assert find_planes("LPS", (0, 1, 2)) == {"axial": 0, "coronal": 1, "sagittal": 2}
    # x points up, y forward, z to the right
    assert find_planes("SAR", (0, 1, 2)) == {"axial": 2, "coronal": 1, "sagittal": 0}
    assert find_planes("RAS", (2, 0, 1))["sagittal"] == 0


def test_slices_keep_their_own_distance_whatever_the_plane():
    """The cases' slices are all 3 mm apart, those of an image that comes later may not be."""
    case = made_up(shape=(40, 60, 80), spacing=(3.0, 1.0, 1.0))
    planes = ("", "_axial", "_coronal", "_sagittal")
    names = tuple(f"{base}{plane}" for base in ("2d", "2.5d") for plane in planes)
    plan = plan_auto(*case, BUDGET, Request(configurations=names))
    for name in names:
        item = plan.configurations[name]
        wanted = [3.0, 1.0, 1.0]
        wanted[item.slice_axis] = None
        assert item.spacing_mm == tuple(wanted), name
        distance = None if item.num_slices == 1 else (3.0, 1.0, 1.0)[item.slice_axis]
        assert item.slice_distance_mm == distance
    nnunet = plan_nnunet(*case, BUDGET, Request(configurations=("2d",)))
    assert nnunet.configurations["2d"].spacing_mm == (None, 1.0, 1.0)


def test_paths_are_stacked_to_volumes_and_so_resampled_along_all_axes():
    case = made_up(shape=(40, 60, 80), spacing=(3.0, 1.0, 1.0))
    plan = plan_auto(*case, BUDGET, Request(configurations=("multipath_2.5d",)))
    assert {item.spacing_mm for item in plan.configurations.values()} == {(3.0, 1.0, 1.0)}


def test_slices_of_another_plane_are_planned_in_that_plane():
    case = made_up(shape=(40, 60, 80), spacing=(3.0, 1.0, 1.0))
    names = ("2.5d", "2.5d_coronal", "2.5d_sagittal")
    plan = plan_auto(*case, BUDGET, Request(configurations=names))
    sizes = {name: plan.configurations[name].median_shape for name in names}
    assert sizes == {
        "2.5d": (60, 80),
        "2.5d_coronal": (40, 80),
        "2.5d_sagittal": (40, 60),
    }
    coronal = plan.configurations["2.5d_coronal"]
    assert coronal.slice_axis == 1
    assert coronal.num_slices == 5
    assert coronal.in_channels == 5


def test_small_classes_of_several_change_sampling_and_loss():
    dataset, fingerprint = made_up()
    usual = plan_auto(dataset, fingerprint, BUDGET, Request()).configurations["3d_fullres"]
    assert usual.training.sampling == "case"
    rare = replace(fingerprint, class_frequencies={"1": 0.1, "2": 2e-5})
    plan = plan_auto(dataset, rare, BUDGET, Request())
    training = plan.configurations["3d_fullres"].training
    assert training.sampling == "class"
    assert (training.loss, training.dice_classes) == ("dice_cross_entropy", "present")
    assert build_loss(training).present_only
    assert not build_loss(usual.training).present_only
    assert any("2e-05" in item.reason for item in plan.decisions)


@pytest.mark.parametrize("frequencies", [{"1": 0.1, "2": 0.0}, {"1": 0.1, "2": 0.2, "3": 0.0}])
def test_a_class_that_no_case_has_changes_nothing(frequencies):
    dataset, fingerprint = made_up()
    expected = plan_auto(dataset, fingerprint, BUDGET, Request())
    absent = replace(fingerprint, class_frequencies=frequencies)
    assert plan_auto(dataset, absent, BUDGET, Request()) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12, "12 s"), (600, "10 min"), (9000, "2.5 h"), (3 * 86400, "3 days"), (2e8, "2315 days")],
)
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text


def test_every_recipe_can_be_read_and_names_known_things():
    names = [name for name, _ in list_recipes()]
    for wanted in ("kits21", "kits23", "isles22", "atlas", "curvas2024", "acdc", "msd:04"):
        assert wanted in names
    cads = [name for name in names if name.startswith("cads:")]
    assert len(cads) == 9
    assert sum(len(load_recipe(name).labels) for name in cads) == 167
    for name in names:
        recipe = load_recipe(name)
        assert all(item in NORMALISATIONS for item in recipe.channels.values()), name
        for item in recipe.configurations:
            parse_configuration(item)
    with pytest.raises(UnknownNameError, match="Unknown recipe 'kits22'"):
        load_recipe("kits22")


def dataset_with(channels, labels):
    files = tuple(f"image_{index}.nii.gz" for index in range(len(channels)))
    return Dataset(
        name="d",
        root=None,
        channel_names=channels,
        labels=LabelScheme(
            classes=tuple(LabelClass(name=str(value), values=(value,)) for value in labels)
        ),
        file_ending=".nii.gz",
        cases=(Case(identifier="c", images=files),),
    )


def test_kits_recipes_make_the_challenges_regions():
    labels = apply_recipe(dataset_with(("CT",), (1, 2, 3)), load_recipe("kits23")).labels
    assert labels.class_names == ("kidney_and_mass", "mass", "tumor")
    assert labels.regions_order == (1, 3, 2)
    assert [item.values for item in labels.classes] == [(1, 2, 3), (2, 3), (2,)]


def test_recipes_take_their_channels_from_larger_data_sets():
    found = apply_recipe(dataset_with(("FLAIR", "adc", "dwi"), (1,)), load_recipe("isles22"))
    assert found.channel_names == ("DWI", "ADC")
    assert found.cases[0].images == ("image_2.nii.gz", "image_1.nii.gz")
    with pytest.raises(InputError, match="recipe needs DWI, ADC"):
        apply_recipe(dataset_with(("T1",), (1,)), load_recipe("isles22"))


def test_a_recipe_pins_orientation_spacing_and_mirroring():
    recipe = load_recipe("cads:551")
    plan = plan_auto(*made_up(), BUDGET, Request(recipe=recipe))
    item = plan.configurations["3d_fullres"]
    assert item.orientation == "RAS"
    assert item.spacing_mm == (1.5, 1.5, 1.5)
    assert item.training.mirror_axes == ()


def test_the_command_lists_the_recipes(capsys):
    with pytest.raises(SystemExit) as ended:
        plan_command.main(["--list-recipes"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("kits23") and "KiTS23" in line for line in lines)


def test_a_multipath_plan_shares_its_time():
    budget = replace(BUDGET, time_s=600.0, costs=MadeUpCosts(seconds=lambda item: 0.1))
    plan = plan_auto(*made_up(), budget, Request(configurations=("multipath_2.5d",)))
    fusion = plan.configurations["multipath_2.5d"].training
    paths = [item.training for name, item in plan.configurations.items() if "path_" in name[:5]]
    total = fusion.time_budget_s + sum(item.time_budget_s for item in paths)
    assert len(paths) == 9
    assert total == pytest.approx(600)
    assert fusion.epochs * fusion.steps_per_epoch == pytest.approx(0.92 * 90 / 0.1, rel=0.1)
