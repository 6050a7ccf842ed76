"""Our values against those that the official programs returned."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import SimpleITK as sitk

import evaluation
from evaluation.challenges import (
    PROFILES,
    NotDefinedError,
    ProfileCase,
    curvas2024,
    pdacvi2025,
    torch_bins,
    vessels,
)
from tests.conftest import shared_folder
from tests.evaluation.conftest import call

OFFICIAL = {"both_empty": "official", "one_empty": "official"}
ORGANS = {"pancreas": "panc", "kidney": "kidn", "liver": "livr"}


def cases(name):
    folder = shared_folder("golden")
    if folder is None:
        return [pytest.param("", {}, marks=pytest.mark.skip("no golden values beside the data"))]
    stored = json.loads((folder / f"expected/{name}.json").read_text())["cases"]
    return [pytest.param(case, values, id=case) for case, values in stored.items()]


def real_cases(name):
    """Those with an input file; the others say in words how to make one."""
    return [case for case in cases(name) if not str(case.id).startswith("x")]


def load(golden, case):
    if case.startswith("m"):
        stored = np.load(golden / f"inputs/masks/{case}.npz")
        spacing = tuple(stored["spacing"])
        return stored["ref"], stored["pred"], spacing, float(stored["tol"])
    folder = golden / "inputs/isles_real"
    name = case.removeprefix("real_")
    names = ("empty", "ref") if name == "ref_empty_pred_ref" else ("ref", name)
    images = [sitk.ReadImage(str(folder / f"{item}.nii.gz")) for item in names]
    arrays = [sitk.GetArrayFromImage(image) for image in images]
    return *arrays, images[0].GetSpacing()[::-1], 1.0


def check(found, expected, tolerance=0.0):
    if isinstance(expected, dict):  # the official program raised an error
        assert math.isnan(found)
        return
    expected = float(expected)
    if math.isnan(expected) or math.isinf(expected):
        assert found == expected or (math.isnan(expected) and math.isnan(found))
    else:
        assert abs(found - expected) <= tolerance


@pytest.mark.parametrize(("case", "values"), real_cases("medpy"))
def test_medpy_exactly(golden, case, values):
    reference, prediction, spacing, _ = load(golden, case)
    corners = reference.ndim
    for key, name, more in (
        ("hd95", "hd95", {}),
        ("hd", "hd", {}),
        ("assd", "assd", {}),
        ("asd_pred_to_ref", "asd", {}),
        ("dc", "dice", {"both_empty": "nan"}),
        ("hd95_connectivity3", "hd95", {"surface_connectivity": corners}),
    ):
        settings = {**OFFICIAL, "surface": "medpy", **more}
        check(call(name, reference, prediction, spacing, **settings), values[key])


@pytest.mark.parametrize(("case", "values"), real_cases("surface_distance"))
def test_deepmind_to_1e_12(golden, case, values):
    reference, prediction, spacing, _ = load(golden, case)
    given = (reference, prediction, spacing)
    tolerance = values["tolerance_mm"]
    for found, expected in (
        (evaluation.hd95(*given, **OFFICIAL), values["compute_robust_hausdorff_95"]),
        (evaluation.hd(*given, **OFFICIAL), values["compute_robust_hausdorff_100"]),
        (evaluation.asd(*given, **OFFICIAL), values["compute_average_surface_distance"][1]),
        (
            evaluation.nsd(*given, tolerance_mm=tolerance, **OFFICIAL),
            values["compute_surface_dice_at_tolerance"],
        ),
        (evaluation.dice(*given, both_empty="nan"), values["compute_dice_coefficient"]),
    ):
        check(found, expected, 1e-12)


@pytest.mark.parametrize(("case", "values"), real_cases("monai"))
def test_monai_to_1e_5(golden, case, values):
    *given, tolerance = load(golden, case)
    for name, key, more in (
        ("hd95", "compute_hausdorff_distance_p95", {"surface": "monai"}),
        ("hd", "compute_hausdorff_distance_max", {"surface": "monai"}),
        ("nsd", "compute_surface_dice", {"surface": "monai", "tolerance_mm": tolerance}),
        (
            "nsd",
            "compute_surface_dice_use_subvoxels",
            {"surface": "monai_subvoxels", "tolerance_mm": tolerance},
        ),
    ):
        check(call(name, *given, **OFFICIAL, **more), values[key], 1e-5)


@pytest.mark.parametrize(("case", "values"), real_cases("metricsreloaded"))
def test_metrics_reloaded_to_1e_5(golden, case, values):
    *given, tolerance = load(golden, case)
    for name, key in (
        ("hd95", "measured_hausdorff_distance_perc"),
        ("hd", "measured_hausdorff_distance"),
        ("nsd", "normalised_surface_distance"),
        ("assd", "measured_average_distance"),
        ("masd", "measured_masd"),
        ("dice", "dsc"),
    ):
        settings = {**OFFICIAL, "surface": "metrics_reloaded", "tolerance_mm": tolerance}
        check(call(name, *given, **settings), values[key], 1e-5)


@pytest.mark.parametrize(
    ("case", "values"), real_cases("isles22_masks") + real_cases("isles22_real")
)
def test_isles22_exactly(golden, case, values):
    reference, prediction, spacing, _ = load(golden, case)
    given = ProfileCase(reference=reference, prediction=prediction, spacing_mm=spacing)
    found = PROFILES["isles22"].score(given, "official")["lesion"]
    assert found["dice"] == values["compute_dice"]
    assert found["lesion_f1"] == values["compute_lesion_f1_score"]
    assert found["lesion_count_difference"] == values["compute_absolute_lesion_difference"]
    assert found["absolute_volume_difference"] == values["compute_absolute_volume_difference_ml"]
    faces = {"connectivity": 6, "both_empty": "official"}
    masks = (reference, prediction, spacing)
    assert evaluation.lesion_f1(*masks, **faces) == values["compute_lesion_f1_score_conn6"]
    swapped = evaluation.lesion_f1(prediction, reference, spacing, both_empty="official")
    assert swapped == values["compute_lesion_f1_score_swapped_args"]
    assert evaluation.dice(*masks, both_empty="0") == values["compute_dice_empty0"]


@pytest.mark.parametrize(("case", "values"), real_cases("atlas2"))
def test_isles22_atlas_exactly(golden, case, values):
    reference, prediction, spacing, _ = load(golden, case)
    given = ProfileCase(reference=reference, prediction=prediction, spacing_mm=spacing)
    found = PROFILES["isles22_atlas"].score(given, "official")["lesion"]
    assert found["lesion_f1"] == values["lesion_f1_score"][0]
    assert found["lesion_count_difference"] == values["simple_lesion_count_difference"][0]
    assert found["voxel_difference"] == values["volume_difference_voxels"][0]
    assert found["dice"] == values["dice_coef"][0]


@pytest.mark.parametrize(("case", "values"), real_cases("kits23"))
def test_kits23_exactly(golden, case, values):
    stored = np.load(golden / f"inputs/kits/{case}.npz")
    given = ProfileCase(
        reference=stored["ref"], prediction=stored["pred"], spacing_mm=tuple(stored["spacing"])
    )
    assert PROFILES["kits23"].score(given, "official") == values


@pytest.mark.parametrize(("case", "values"), real_cases("curvas2024"))
def test_curvas2024(golden, case, values):
    stored = np.load(golden / f"inputs/curvas/{case}.npz")
    raters, prediction, probabilities = stored["ann"], stored["bin"], stored["prob"]
    dice = curvas2024.consensus_dice(raters, prediction)
    confidence = curvas2024.consensus_confidence(raters, probabilities)
    for name, key in ORGANS.items():
        check(dice[name], values["consensus_dice_score"]["dice"][key], 1e-6)
        check(confidence[name], values["consensus_dice_score"]["confidence"][key], 1e-9)
    for rater in range(3):
        found = curvas2024.calibration_error(raters[rater], probabilities)
        check(found, values["multirater_expected_calibration_error"][str(rater)], 1e-6)
    if "error" in values["volume_metric_crps"]:
        with pytest.raises(NotDefinedError, match="IndexError"):
            curvas2024.volume_crps(raters, probabilities)
        return
    crps = curvas2024.volume_crps(raters, probabilities)
    for name, key in ORGANS.items():
        check(crps[name], values["volume_metric_crps"][key], 1e-9)


def stored_case(golden, name, case):
    return json.loads((golden / f"expected/{name}.json").read_text())["cases"][case]


def test_curvas2024_volumes_scale_with_the_voxel(golden):
    stored = np.load(golden / "inputs/curvas/c01_random_multirater.npz")
    expected = stored_case(golden, "curvas2024", "x01_voxel_proportion_scalar_0.5")
    found = curvas2024.volume_crps(stored["ann"], stored["prob"], 0.5)
    for name, key in ORGANS.items():
        check(found[name], expected["volume_metric_crps"][key], 1e-9)


def test_official_counters_saturate_and_exact_ones_do_not(golden):
    expected = stored_case(golden, "curvas2024", "x06_float32_count_saturation_25M_voxels")
    probabilities = np.zeros((3, 1, 5000, 5000), dtype=np.float32)
    probabilities[2, 0, :800] = np.float32(0.61)
    annotation = np.zeros((1, 5000, 5000), dtype=np.uint8)
    official = curvas2024.calibration_error(annotation, probabilities)
    check(official, expected["expected_calibration_error"], 1e-6)
    exact = curvas2024.calibration_error(annotation, probabilities, "exact")
    check(exact, expected["exact_float64_value"], 1e-6)


def test_bin_edges_are_those_of_torch_to_the_bit(golden):
    expected = stored_case(golden, "curvas2024", "x07_torch_bin_edges")
    bits = expected["torch.linspace(0,1,51)_float32_bits_hex"]
    assert [f"{edge.view(np.uint32):08x}" for edge in torch_bins.edges(50)] == bits


def test_the_official_crop_never_cuts_slices(golden):
    expected = stored_case(golden, "curvas2024", "x05_preprocess_crop")
    image = np.full((10, 40, 44), -1000)
    image[2:5, 7:30, 9:33] = 40
    image[0, 3, 20] = 1
    box = curvas2024.crop_to_body(image)
    assert list(image[box].shape) == expected["cropped_shape"]


@pytest.mark.parametrize(("case", "values"), real_cases("curvas_pdacvi2025"))
def test_curvas_pdacvi2025(golden, case, values):
    stored = np.load(golden / f"inputs/pdacvi/{case}.npz")
    raters, probabilities = stored["ann"], stored["prob"]
    soft, hard = values["merged_dice_score"]
    check(pdacvi2025.thresholded_dice(raters, probabilities), soft, 1e-12)
    check(pdacvi2025.binary_dice(stored["staple"], stored["bin"]), hard, 1e-12)
    check(pdacvi2025.volume_crps(raters, probabilities), values["volume_metric_crps"], 1e-9)
    if "error" in values["get_combined_bbox"]:
        with pytest.raises(NotDefinedError, match="OverflowError"):
            pdacvi2025.calibration_errors(raters, probabilities)
    else:
        box = pdacvi2025.common_box(raters)
        assert [[side.start, side.stop] for side in box] == values["get_combined_bbox"]
        errors = pdacvi2025.calibration_errors(raters, probabilities)
        for rater, found in enumerate(errors):
            check(found, values["multirater_expected_calibration_error"][str(rater)], 1e-6)
    expected = values["vascular_involvement"]
    for name, planes in pdacvi2025.vascular_spreads(raters, stored["vi"], probabilities).items():
        for plane, (first, second) in planes.items():
            assert first == pytest.approx(expected["gt_mean_std"][name][plane], abs=1e-9)
            assert second == pytest.approx(expected["pred_mean_std"][name][plane], abs=1e-9)
    involvement = pdacvi2025.vascular_involvement(raters, stored["vi"], probabilities)
    for name, found in involvement.items():
        check(found, expected["aggregated"][name], 1e-9)


@pytest.mark.parametrize(
    ("case", "values"), [c for c in cases("curvas_pdacvi2025") if str(c.id).startswith("x")]
)
def test_distances_of_angles_fall_back_as_the_official_ones(case, values):
    numbers = re.search(r"= \((.*)\)", values["args"])[1].split(",")
    mean, deviation, other_mean, other_deviation = map(float, numbers)
    found = vessels.distance((mean, deviation), (other_mean, other_deviation))
    check(found, values["aggregated_vascular_involvement_PORTA"], 1e-9)
