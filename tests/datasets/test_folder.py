from __future__ import annotations

import json

import numpy as np

from autoseg.datasets.fingerprint import make_fingerprint
from autoseg.datasets.folder import read_dataset
from dataset_conversion import DatasetWriter
from tests.conftest import write_dataset


def test_explicit_paths_replace_the_folders(tiny_dataset):
    path = tiny_dataset / "dataset.json"
    plain = json.loads(path.read_text())
    plain["dataset"] = {
        "only": {"images": ["imagesTr/case_02_0000.nii.gz"], "label": "./labelsTr/case_02.nii.gz"}
    }
    path.write_text(json.dumps(plain))
    dataset, warnings = read_dataset(tiny_dataset)
    assert [case.identifier for case in dataset.cases] == ["only"]
    assert "numTraining is 6, but 1 complete cases" in warnings[0]


def test_regions_ignore_and_legacy_modality_are_read(tiny_dataset):
    path = tiny_dataset / "dataset.json"
    plain = json.loads(path.read_text())
    plain["labels"] = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    plain["regions_class_order"] = [1, 2]
    plain["modality"] = plain.pop("channel_names")
    path.write_text(json.dumps(plain))
    labels = read_dataset(tiny_dataset)[0].labels
    assert labels.has_regions
    assert labels.ignore == 3
    assert labels.class_names == ("whole", "core")


def test_raters_may_skip_cases(tmp_path):
    writer = DatasetWriter(
        tmp_path / "d", channel_names=["CT"], labels={"background": 0, "a": 1}, raters=["r1", "r2"]
    )
    rng = np.random.default_rng(0)
    for index in range(3):
        mask = np.zeros((4, 8, 8), np.uint8)
        mask[1:3, 2:5, 2:5] = 1
        outlines = {"r1": mask, "r2": np.roll(mask, 1, 1)} if index else {"r2": mask}
        writer.add(f"c{index}", [rng.normal(5, 1, (4, 8, 8)).astype(np.float32)], raters=outlines)
    writer.finish()
    dataset, _ = read_dataset(tmp_path / "d")
    assert [sorted(case.raters) for case in dataset.cases] == [["r2"], ["r1", "r2"], ["r1", "r2"]]
    fingerprint = make_fingerprint(dataset, workers=1)
    # Where two raters disagree a voxel of either is a tie, which goes to the foreground.
    assert fingerprint.cases["c0"].labels["1"].voxels == 2 * 3 * 3
    assert fingerprint.cases["c1"].labels["1"].voxels == 2 * 4 * 3


def test_2d_images_and_channels_in_one_file_are_read(tmp_path):
    import SimpleITK as sitk

    writer = DatasetWriter(
        tmp_path / "d", channel_names=["R"], labels={"background": 0, "a": 1}, file_ending=".png"
    )
    rng = np.random.default_rng(0)
    for index in range(2):
        colour = sitk.GetImageFromArray(
            rng.integers(1, 255, (9, 11, 3), dtype=np.uint8), isVector=True
        )
        writer.add(f"c{index}", [colour], np.eye(9, 11, dtype=np.uint8))
    path = writer.finish()
    plain = json.loads(path.read_text())
    plain["channel_names"] = {"0": "R", "1": "G", "2": "B"}
    path.write_text(json.dumps(plain))
    fingerprint = make_fingerprint(read_dataset(tmp_path / "d")[0], workers=1)
    record = fingerprint.cases["c0"]
    assert (record.shape, record.dimensions, record.spacing_mm) == ((1, 9, 11), 2, (999, 1, 1))
    assert len(fingerprint.intensities) == 3


def test_every_case_weighs_the_same_in_the_intensities(tmp_path):
    writer = DatasetWriter(tmp_path / "d", channel_names=["CT"], labels={"background": 0, "a": 1})
    for index, (value, size) in enumerate([(10, 2), (30, 6)]):
        image = np.full((8, 8, 8), value, np.float32)
        image[0, 0, 0] = index + 1
        mask = np.zeros((8, 8, 8), np.uint8)
        mask[1 : 1 + size, 1:7, 1:7] = 1
        writer.add(f"c{index}", [image], mask)
    writer.finish()
    statistics = make_fingerprint(read_dataset(tmp_path / "d")[0], workers=1).intensities[0]
    assert statistics.mean == 20
    assert statistics.std == 10
    assert (statistics.minimum, statistics.maximum) == (10, 30)
    assert (statistics.percentile_00_5, statistics.percentile_99_5) == (10, 30)


def test_components_volumes_and_centres_are_measured(tmp_path):
    root = write_dataset(tmp_path / "d", num_cases=5)
    fingerprint = make_fingerprint(read_dataset(root)[0], workers=1)
    for record in fingerprint.cases.values():
        organ = record.labels["1"]
        assert organ.volume_ml == organ.voxels * 1.5 / 1000
        assert organ.components >= 1
        assert organ.component_ml[0] <= organ.component_ml[1] <= organ.component_ml[2]
        # The vessel lies beside the organ along x in every case.
        assert organ.centroid[2] < record.labels["2"].centroid[2]
    assert 0 < fingerprint.class_frequencies["2"] < fingerprint.class_frequencies["1"] < 1


def test_the_number_of_workers_changes_nothing(tmp_path):
    dataset, _ = read_dataset(write_dataset(tmp_path / "d", num_cases=6))
    assert make_fingerprint(dataset, workers=1) == make_fingerprint(dataset, workers=2)
