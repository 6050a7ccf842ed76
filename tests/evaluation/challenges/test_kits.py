"""KiTS: hierarchy, sampled references, ranking."""

from __future__ import annotations

import json

import numpy as np
import pytest

import evaluation
from evaluation.challenges import kits
from evaluation.errors import EvaluationError
from tests.evaluation.conftest import write


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


@pytest.mark.parametrize("profile", ["kits19", "kits21", "kits23"])
def test_references_may_lie_in_folders_of_their_cases(kidneys, profile):
    for index in range(3):
        case = kidneys / f"own/case_{index}"
        case.mkdir(parents=True)
        (kidneys / f"ref/case_{index}.nii.gz").rename(case / "segmentation.nii.gz")
    summary = evaluation.evaluate_folders(kidneys / "own", kidneys / "good", profile=profile)
    assert summary.cases == ("case_0", "case_1", "case_2")
    assert 0.5 < summary.mean("dice", "tumor") < 1


def test_other_layouts_have_no_sampled_references(tmp_path):
    assert kits.sampled_references("case_00005", tmp_path / "case_00005.nii.gz") == []
    assert kits.sampled_references("case_x", tmp_path / "segmentation.nii.gz") == []
