"""Which files make a case: nothing is dropped, overwritten or guessed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from autoseg.datasets.file_names import input_cases, sort_names
from autoseg.datasets.folder import survey_dataset
from autoseg.errors import InputError


def folder(root: Path, *names: str) -> Path:
    """A folder with empty files."""
    root.mkdir(exist_ok=True)
    for name in names:
        (root / name).touch()
    return root


def found(source: Path, num_channels: int) -> dict[str, list[str]]:
    """Case → names of its files."""
    cases = input_cases(source, num_channels)
    return {case: [path.name for path in files] for case, files in cases.items()}


@pytest.mark.parametrize(
    ("names", "num_channels", "cases"),
    [
        (["a_0000.png", "b_0000.png"], 1, {"a": ["a_0000.png"], "b": ["b_0000.png"]}),
        (["img_0001.png", "img_0002.png"], 1, {"img_0001": 1, "img_0002": 1}),
        (["scan_2021.nii.gz", "scan_2022.nii.gz"], 1, {"scan_2021": 1, "scan_2022": 1}),
        (["scan_2021.nii.gz"], 3, {"scan_2021": 1}),
        (["img_0001.png", "img_0002.png"], 2, {"img_0001": 1, "img_0002": 1}),
        (["a_0000.NII.GZ", "b.Nii"], 1, {"a": 1, "b": 1}),
        (["a_0000.nii.gz", "a_0001.NII.GZ"], 2, {"a": ["a_0000.nii.gz", "a_0001.NII.GZ"]}),
        (["a_0000.nrrd"], 4, {"a": 1}),
        (["a_0000_0000.png", "a_0001_0000.png"], 1, {"a_0000": 1, "a_0001": 1}),
        (["a_0000.mhd", "a_0000.raw", "a_0000.txt", ".a_0000.mha"], 1, {"a": ["a_0000.mhd"]}),
        (["a_00001.png", "a_١٢٣٤.png"], 1, {"a_00001": 1, "a_١٢٣٤": 1}),
    ],
)
def test_files_become_the_cases_that_their_names_say(tmp_path, names, num_channels, cases):
    result = found(folder(tmp_path / "in", *names), num_channels)
    assert set(result) == set(cases)
    for case, files in cases.items():
        assert result[case] == files if isinstance(files, list) else len(result[case]) == files


@pytest.mark.parametrize(
    ("names", "num_channels", "message"),
    [
        (["a_0000.png", "a_0000.nii.gz"], 1, r"a_0000\.png: stands for the same as a_0000\.nii"),
        (["a_0000.nii.gz", "a_0000.nrrd"], 1, r"a_0000\.nrrd: stands for the same"),
        (["a_0000.nii.gz", "a_0000.NII.GZ"], 1, r"in/a_0000\..*: stands for the same"),
        (["a_0000.nii", "a_0000.nii.gz"], 1, r"stands for the same"),
        (["a.png", "a_0000.png"], 1, r"a\.png: stands for the same as a_0000\.png"),
        (["a.png", "a.bmp"], 3, r"a\.png: stands for the same as a\.bmp"),
        (["a_2021.png", "a_2021.bmp"], 1, r"a_2021\.png: stands for the same"),
        (["a_0001.png", "a_0001_0000.png"], 1, r"stands for the same"),
        (["a_0001.nii", "a_0000.nii", "a_0001.mha"], 2, r"a_0001\.nii: stands for the same"),
        (["a_0000.png", "a_0001.png"], 1, r"channels \[0, 1\], the model expects 1\. Remove"),
        (["a_0000.nii", "a_0002.nii"], 2, r"channels \[0, 2\], .* expects 2; missing: _0001"),
        (["a_0000.nii", "a_0001.nii", "a_0002.nii"], 2, r"\[0, 1, 2\], the model expects 2\. Rem"),
    ],
)
def test_names_that_say_two_things_are_refused(tmp_path, names, num_channels, message):
    with pytest.raises(InputError, match=message):
        input_cases(folder(tmp_path / "in", *names), num_channels)


def test_all_faults_of_the_names_are_told_at_once(tmp_path):
    names = ["a_0000.png", "a_0000.bmp", "b_0000.png", "b_0001.png"]
    with pytest.raises(InputError) as caught:
        input_cases(folder(tmp_path / "in", *names), 1)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "num_channels", "case", "files"),
    [
        ("img_0001.png", 1, "img_0001", 1),
        ("scan_2021.nii.gz", 1, "scan_2021", 1),
        ("scan_2021.nii.gz", 2, "scan_2021", 1),
        ("x_0000.nii.gz", 1, "x", 1),
        ("x_0001.nii.gz", 2, "x", 2),
        ("y_0000.NII.GZ", 2, "y", 2),
    ],
)
def test_one_file_is_the_case_that_it_is_in_a_folder(tmp_path, name, num_channels, case, files):
    source = folder(
        tmp_path / "in",
        *("img_0001.png", "img_0002.png", "scan_2021.nii.gz", "scan_2022.nii.gz"),
        *("x_0000.nii.gz", "x_0001.nii.gz", "y_0000.NII.GZ", "y_0001.nii.gz"),
    )
    result = input_cases(source / name, num_channels)
    assert list(result) == [case]
    assert len(result[case]) == files


def test_no_file_of_a_folder_is_lost():
    names = [
        "a_0000.nii.gz",
        "a_0000.NII.GZ",
        "b.png",
        "b.bmp",
        "c_0007.png",
        "c_0007.tif",
        "d.txt",
    ]
    found = sort_names(names)
    kept = [name for channels in found.channels.values() for name in channels.values()]
    kept += found.single.values()
    assert sorted([*kept, *(second for _, second in found.clashes)]) == sorted(names[:-1])


RAW = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "a": 1},
    "file_ending": ".nii.gz",
    "numTraining": 1,
}


def faults_of(root: Path, images: list[str], labels: list[str]) -> list[str]:
    """Faults of a data set's names."""
    root.mkdir()
    (root / "dataset.json").write_text(json.dumps(RAW))
    folder(root / "imagesTr", *images)
    folder(root / "labelsTr", *labels)
    return survey_dataset(root)[2]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (["x_0000.NII.GZ"], [], "stands for the same as x_0000.NII.GZ"),
        (["x_0000.nrrd"], [], "x_0000.nrrd: duplicate case: 'x' is also there with .nii.gz"),
        ([], ["x.NII.GZ"], "stands for the same as x.NII.GZ"),
        ([], ["x.nrrd"], "x.nrrd: stands for the same as x.nii.gz"),
        (["scan_2021.nii.gz"], [], "call it scan_2021_0000.nii.gz"),
    ],
)
def test_planning_drops_no_file_either(tmp_path, images, labels, message):
    (fault,) = faults_of(tmp_path / "d", ["x_0000.nii.gz", *images], ["x.nii.gz", *labels])
    assert message in fault


def test_endings_may_have_capitals(tmp_path):
    assert faults_of(tmp_path / "d", ["x_0000.NII.GZ"], ["x.Nii.gz"]) == []


def test_names_that_are_no_utf8_are_named_in_planning(tmp_path):
    root = tmp_path / "d"
    assert faults_of(root, ["x_0000.nii.gz"], ["x.nii.gz"]) == []
    os.rename(root / "labelsTr/x.nii.gz", os.fsencode(root) + b"/labelsTr/\xff.nii.gz")
    faults = survey_dataset(root)[2]
    assert any("labelsTr/\\udcff.nii.gz: the name is not UTF-8" in fault for fault in faults)
    os.rename(root, os.fsencode(tmp_path) + b"/\xff")
    (fault,) = survey_dataset(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")))[2]
    assert fault.endswith("\\udcff: the name is not UTF-8. Rename the folder.")
