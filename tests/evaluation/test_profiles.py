"""Challenges through files, several methods, and the kinds of mode."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

import evaluation
from autoseg.cli import evaluate as command
from evaluation.challenges import kits
from evaluation.errors import EvaluationError
from tests.evaluation.conftest import write


def ball(shape, centre, radius):
    grid = np.indices(shape)
    return sum((axis - at) ** 2 for axis, at in zip(grid, centre, strict=True)) <= radius**2


@pytest.fixture
def kidneys(tmp_path):
    """Three cases, and a good and a poor method."""
    for index in range(3):
        labels = np.zeros((10, 24, 24), np.uint8)
        labels[ball(labels.shape, (5, 11, 11), 8)] = 1
        labels[ball(labels.shape, (5, 11, 13 + index), 3)] = 2
        labels[ball(labels.shape, (5, 6, 8), 2)] = 3
        for name, shift in (("ref", 0), ("good", 1), ("poor", 3)):
            write(tmp_path / name / f"case_{index}.nii.gz", np.roll(labels, shift, 2), (1, 1, 2))
    return tmp_path


def test_kits_ranks_methods_as_its_program_does(kidneys):
    summary = evaluation.evaluate_folders(
        kidneys / "ref", [kidneys / "poor", kidneys / "good"], profile="kits23"
    )
    assert summary.labels == ("kidney_and_mass", "mass", "tumor")
    assert summary.methods == ("poor", "good")
    assert summary.rankings[0].ranks == {"good": 1, "poor": 2}
    (gap,) = [
        item for item in summary.comparisons if (item.metric, item.label) == ("dice", "all classes")
    ]
    assert gap.difference < 0
    evaluation.write_summary(summary, kidneys / "out")
    plain = json.loads((kidneys / "out/summary.json").read_text())
    assert set(plain["methods"]) == {"good", "poor"}
    text = (kidneys / "out/summary.md").read_text()
    assert "Ranking: mean then rank" in text
    assert "poor − good" in text
    header = (kidneys / "out/cases.csv").read_text().splitlines()[0]
    assert header == "case,class,metric,value,unit,method"


def test_kits19_scores_everything_and_the_tumor(kidneys):
    summary = evaluation.evaluate_folders(kidneys / "ref", kidneys / "ref", profile="kits19")
    assert summary.mean("dice", "kidney") == summary.mean("dice", "tumor") == 1


def test_kits21_takes_the_mean_over_its_sampled_references(kidneys):
    both = evaluation.evaluate_folders(
        kidneys / "ref",
        kidneys / "ref",
        profile="kits21",
        raters=[kidneys / "good", kidneys / "poor"],
    )
    parts = [
        evaluation.evaluate_folders(kidneys / name, kidneys / "ref", profile="kits21").mean("dice")
        for name in ("good", "poor")
    ]
    assert both.mean("dice") == pytest.approx(np.mean(parts))
    assert parts[0] > parts[1]


def test_kits21_samples_annotations_of_instances(tmp_path):
    for name, numbers in (
        ("kidney_instance-1", 3),
        ("kidney_instance-2", 3),
        ("tumor_instance-1", 2),
    ):
        for annotation in range(1, numbers + 1):
            labels = np.zeros((4, 6, 6), np.uint8)
            row = 3 if name.endswith("2") else 0
            labels[1 : 1 + annotation, row : row + 2] = 1
            write(tmp_path / f"{name}_annotation-{annotation}.nii.gz", labels)
    samples = kits.sample_annotations(tmp_path, 5)
    assert len(samples) == 5 * 2
    assert samples == kits.sample_annotations(tmp_path, 5)
    assert samples != kits.sample_annotations(tmp_path, 6)
    random = np.random.RandomState(5)
    offsets = [random.randint(0, 3), random.randint(0, 3), random.randint(0, 2)]
    assert samples[0].files["kidney"][0] == f"kidney_instance-1_annotation-{offsets[0] + 1}.nii.gz"
    assert samples[0].files["tumor"][0] == f"tumor_instance-1_annotation-{offsets[2] + 1}.nii.gz"
    references = list(kits.build_references(tmp_path, 5))
    case = tmp_path / "data/case_00005"
    (case / "segmentations").mkdir(parents=True)
    for path in tmp_path.glob("*.nii.gz"):
        path.rename(case / "segmentations" / path.name)
    write(case / "aggregated_MAJ_seg.nii.gz", references[0])
    write(tmp_path / "pred/case_00005.nii.gz", references[0])
    found = evaluation.evaluate_folders(tmp_path / "data", tmp_path / "pred", profile="kits21")
    parts = [kits.score_hierarchy(item, references[0], (1, 1, 1)) for item in references]
    expected = np.mean([part["tumor"]["dice"] for part in parts])
    assert found.mean("dice", "tumor") == pytest.approx(expected)
    assert len(references) == 10
    assert set(np.unique(references[0])) == {0, 1, 2}
    with pytest.raises(EvaluationError, match="holds no files like"):
        kits.sample_annotations(tmp_path / "none", 5)


def test_a_task_of_the_decathlon_has_its_classes_and_tolerance(kidneys):
    summary = evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", profile="msd:liver")
    assert summary.labels == ("liver", "tumor")
    assert summary.mean("nsd") == 1
    assert "not checked" in summary.notes[0]
    with pytest.raises(EvaluationError, match="needs a task: msd:brain"):
        evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", profile="msd")
    with pytest.raises(EvaluationError, match="known are"):
        evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", profile="msd:x")


def save(folder, case, values):
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / f"{case}.npz", probabilities=values.astype(np.float32))


@pytest.fixture
def organs(tmp_path):
    """One CT case with three raters, who disagree, and soft predictions."""
    shape = (6, 30, 30)
    base = np.zeros(shape, np.uint8)
    for value, centre in ((1, (3, 8, 8)), (2, (3, 20, 8)), (3, (3, 15, 20))):
        base[ball(shape, centre, 5)] = value
    raters = [np.roll(base, shift, 1) for shift in (0, 1, 2)]
    for index, labels in enumerate(raters, 1):
        write(tmp_path / f"r{index}/a.nii.gz", labels)
    image = np.full(shape, -1000, np.int16)
    image[:, 2:28, 1:29] = 50
    write(tmp_path / "images/a.nii.gz", image)
    write(tmp_path / "pred/a.nii.gz", raters[1])
    soft = np.mean([[labels == value for value in (1, 2, 3)] for labels in raters], axis=0)
    save(tmp_path / "p", "a", soft)
    return tmp_path


@pytest.mark.parametrize("mode", ["official", "exact"])
def test_curvas_scores_against_all_raters_and_says_where_the_modes_differ(organs, mode, capsys):
    text = (
        "majority {0}/pred --raters {0}/r1 {0}/r2 {0}/r3 --probabilities {0}/p --images {0}/images "
        "--profile curvas2024 --mode {1} -o {0}/out"
    )
    code = command.main(text.format(organs, mode).split())
    assert code == 0, capsys.readouterr().err
    plain = json.loads((organs / "out/summary.json").read_text())
    case = plain["cases"]["a"]
    assert set(case["liver"]) == {"dsc", "confidence", "crps"}
    assert {"ece", "ece_rater_1", "ece_rater_3"} <= set(case["all classes"])
    other = "exact" if mode == "official" else "official"
    assert any(f"{other} differs from {mode}" in note for note in plain["notes"])


def test_pdacvi_scores_the_tumour_and_its_vessels(organs):
    write(organs / "vessels/a.nii.gz", np.roll(sitk_labels(organs / "r2/a.nii.gz"), 6, 2))
    save(organs / "p1", "a", (sitk_labels(organs / "r2/a.nii.gz") == 1)[None])
    summary = evaluation.evaluate_folders(
        organs / "r1",
        organs / "pred",
        profile="curvas_pdacvi2025",
        raters=[organs / f"r{index}" for index in (1, 2, 3)],
        probabilities=[organs / "p1"],
        vessels=organs / "vessels",
    )
    assert 0 < summary.mean("thresholded_dice") < 1
    assert summary.mean("involvement_porta") >= 0


def test_qubiq_cuts_the_raters_mean(organs):
    values = np.mean([sitk_labels(organs / f"r{i}/a.nii.gz") > 0 for i in (1, 2, 3)], axis=0)
    save(organs / "p2", "a", values[None])
    summary = evaluation.evaluate_folders(
        organs / "r1",
        organs / "pred",
        profile="qubiq",
        raters=[organs / f"r{index}" for index in (1, 2, 3)],
        probabilities=[organs / "p2"],
    )
    assert summary.mean("thresholded_dice") == pytest.approx(1)


def sitk_labels(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_isles_counts_lesions(kidneys):
    summary = evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", profile="isles22")
    assert summary.mean("lesion_f1") == 1
    atlas = evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", profile="isles22_atlas")
    assert (
        any("several times" in note for note in atlas.notes) or atlas.mean("voxel_difference") == 0
    )


def test_a_missing_prediction_of_a_profile_is_scored_as_empty(organs):
    write(organs / "r1/b.nii.gz", sitk_labels(organs / "r1/a.nii.gz"))
    write(organs / "r2/b.nii.gz", sitk_labels(organs / "r2/a.nii.gz"))
    summary = evaluation.evaluate_folders(
        organs / "r1",
        organs / "pred",
        profile="curvas2024",
        raters=[organs / "r1", organs / "r2"],
        probabilities=[organs / "p"],
    )
    assert summary.missing == ("b",)
    (value,) = [
        s.value for s in summary.scores if (s.case, s.label, s.metric) == ("b", "liver", "dsc")
    ]
    assert value == 0


def test_methods_with_the_same_folder_name_are_told_apart(kidneys):
    for name in ("x", "y"):
        (kidneys / name).mkdir()
        (kidneys / ("good" if name == "x" else "poor")).rename(kidneys / name / "labels")
    summary = evaluation.evaluate_folders(
        kidneys / "ref", [kidneys / "x/labels", kidneys / "y/labels"], metrics=["dice"]
    )
    assert summary.methods == ("x/labels", "y/labels")
    with pytest.raises(EvaluationError, match="given twice"):
        evaluation.evaluate_folders(kidneys / "ref", [kidneys / "x/labels"] * 2)
