"""Every kind of damage is found in one pass, each with its file, and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.cli import umbrella
from autoseg.datasets.fingerprint import make_fingerprint
from autoseg.datasets.folder import survey_dataset
from tests.conftest import write_dataset


def edit_json(**changes):
    def damage(root: Path) -> None:
        path = root / "dataset.json"
        plain = json.loads(path.read_text())
        for key, value in changes.items():
            if value is None:
                del plain[key]
            else:
                plain[key] = value
        path.write_text(json.dumps(plain))

    return damage


def edit_image(name: str, change):
    def damage(root: Path) -> None:
        path = root / name
        image = sitk.ReadImage(str(path))
        sitk.WriteImage(change(image), str(path))

    return damage


def voxels(change):
    def apply(image: sitk.Image) -> sitk.Image:
        array = change(sitk.GetArrayFromImage(image))
        result = sitk.GetImageFromArray(array)
        if result.GetSize() == image.GetSize():
            result.CopyInformation(image)
        return result

    return apply


def put(value, dtype=None):
    def change(array):
        array = array.astype(dtype) if dtype else array.copy()
        array[3, 4, 5] = value
        return array

    return voxels(change)


def header(**values):
    def apply(image: sitk.Image) -> sitk.Image:
        for key, value in values.items():
            getattr(image, f"Set{key}")(value)
        return image

    return apply


def truncate(name: str):
    def damage(root: Path) -> None:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: len(data) // 2])

    return damage


def negative_spacing(root: Path) -> None:
    """NIfTI readers take the absolute value, so the zero is written into the header."""
    path = root / "imagesTr/case_01_0000.nii.gz"
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[80:84] = np.float32(0).tobytes()  # pixdim[1]
    path.write_bytes(gzip.compress(bytes(data)))


def copy(source: str, target: str):
    return lambda root: shutil.copy(root / source, root / target)


def remove(name: str):
    return lambda root: (root / name).unlink()


def two_channels(root: Path) -> None:
    edit_json(channel_names={"0": "T1", "1": "T2"})(root)


def rename_all(root: Path) -> None:
    for path in (root / "imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace(".nii.gz", ".nrrd")))


IMAGE, LABEL = "imagesTr/case_01_0000.nii.gz", "labelsTr/case_01.nii.gz"

DAMAGES = [
    (
        "unreadable",
        lambda root: (root / IMAGE).write_bytes(b"nothing"),
        "case_01_0000.nii.gz: cannot be read",
    ),
    (
        "empty file",
        lambda root: (root / IMAGE).write_bytes(b""),
        "case_01_0000.nii.gz: cannot be read",
    ),
    ("truncated", truncate(IMAGE), "case_01_0000.nii.gz: cannot be read"),
    ("truncated label", truncate(LABEL), "case_01.nii.gz: cannot be read"),
    ("missing channel", two_channels, "has 1 channels, dataset.json names 2"),
    ("missing label", remove(LABEL), "case_01.nii.gz: no label for the image"),
    ("missing image", remove(IMAGE), "case_01.nii.gz: label without an image"),
    (
        "shape",
        edit_image(LABEL, voxels(lambda a: a[1:])),
        "case_01.nii.gz: geometry differs .*shape",
    ),
    (
        "origin",
        edit_image(LABEL, header(Origin=(5, 0, 0))),
        "case_01.nii.gz: geometry differs .*origin",
    ),
    (
        "spacing",
        edit_image(LABEL, header(Spacing=(1, 1, 2))),
        "case_01.nii.gz: geometry differs .*spacing",
    ),
    (
        "direction",
        edit_image(LABEL, header(Direction=(-1, 0, 0, 0, 1, 0, 0, 0, -1))),
        "case_01.nii.gz: geometry differs .*direction",
    ),
    ("NaN", edit_image(IMAGE, put(np.nan)), "case_01_0000.nii.gz: holds NaN or infinity in 1 vox"),
    ("infinity", edit_image(IMAGE, put(np.inf)), "case_01_0000.nii.gz: holds NaN or infinity"),
    ("unknown label", edit_image(LABEL, put(7)), "case_01.nii.gz: unknown label value 7"),
    (
        "negative label",
        edit_image(LABEL, put(-1, np.int16)),
        "case_01.nii.gz: unknown label value -1",
    ),
    ("fraction", edit_image(LABEL, put(0.5, np.float32)), "case_01.nii.gz: holds the value 0.5"),
    ("NaN label", edit_image(LABEL, put(np.nan, np.float32)), "case_01.nii.gz: holds NaN"),
    (
        "same case twice",
        lambda root: (
            copy(IMAGE, "imagesTr/x_0000.nii.gz")(root),
            copy(LABEL, "labelsTr/x.nii.gz")(root),
        ),
        "x_0000.nii.gz: duplicate case: the same voxels as case_01_0000",
    ),
    ("two endings", copy(IMAGE, "imagesTr/case_01_0000.nrrd"), "case_01_0000.nrrd: duplicate case"),
    (
        "capitals",
        lambda root: (
            copy(IMAGE, "imagesTr/CASE_01_0000.nii.gz")(root),
            copy(LABEL, "labelsTr/CASE_01.nii.gz")(root),
        ),
        "duplicate case: .* differ in capitals",
    ),
    ("zero spacing", negative_spacing, r"case_01_0000.nii.gz: (cannot be read|geometry|spacing)"),
    (
        "no channel number",
        copy(IMAGE, "imagesTr/odd.nii.gz"),
        "odd.nii.gz: the name must end in _0000",
    ),
    (
        "surplus channel",
        copy(IMAGE, "imagesTr/case_01_0001.nii.gz"),
        "case_01_0001.nii.gz: channel 1",
    ),
    ("other endings", rename_all, "no file ends in .nii.gz"),
    ("no dataset.json", remove("dataset.json"), "dataset.json: no such file"),
    (
        "no JSON",
        lambda root: (root / "dataset.json").write_text("{"),
        "dataset.json: cannot be read as JSON",
    ),
    ("a list", lambda root: (root / "dataset.json").write_text("[]"), "dataset.json: holds a list"),
    ("no channel_names", edit_json(channel_names=None), "dataset.json: the key 'channel_names'"),
    (
        "channel gap",
        edit_json(channel_names={"0": "a", "2": "b"}),
        "dataset.json: channel_names has",
    ),
    ("channel list", edit_json(channel_names=["CT"]), "dataset.json: channel_names is"),
    ("channel number", edit_json(channel_names={"0": 5}), "dataset.json: channel_names holds 5"),
    ("no labels", edit_json(labels=None), "dataset.json: the key 'labels'"),
    ("old labels", edit_json(labels={"0": "background"}), "dataset.json: label '0' .*old order"),
    ("no background", edit_json(labels={"organ": 1}), "dataset.json: labels has no 'background'"),
    ("background 1", edit_json(labels={"background": 1, "a": 2}), "dataset.json: the background"),
    ("only background", edit_json(labels={"background": 0}), "dataset.json: labels names no class"),
    (
        "twice",
        edit_json(labels={"background": 0, "a": 1, "b": 1}),
        "dataset.json: the value 1 stands",
    ),
    (
        "negative value",
        edit_json(labels={"background": 0, "a": -1}),
        "dataset.json: label 'a' is -1",
    ),
    ("true", edit_json(labels={"background": 0, "a": True}), "dataset.json: label 'a' is True"),
    (
        "ignore is a class",
        edit_json(labels={"background": 0, "a": 1, "ignore": 1}),
        "dataset.json: the ignore label 1 is also",
    ),
    (
        "regions without order",
        edit_json(labels={"background": 0, "a": [1, 2], "b": 2}),
        "dataset.json: regions_class_order is None",
    ),
    ("no file_ending", edit_json(file_ending=None), "dataset.json: the key 'file_ending'"),
    ("odd file_ending", edit_json(file_ending=".jpg"), "dataset.json: file_ending is '.jpg'"),
    ("numTraining", edit_json(numTraining="six"), "dataset.json: numTraining is 'six'"),
    ("raters", edit_json(raters="r1"), "dataset.json: raters is 'r1'"),
    ("rater path", edit_json(raters=["../x"]), r"dataset.json: raters is \['../x'\]"),
    ("dataset table", edit_json(dataset={"a": 3}), "dataset.json: dataset.a must be"),
    (
        "path that leaves",
        edit_json(
            dataset={"a": {"images": ["../../etc/passwd"], "label": "labelsTr/case_01.nii.gz"}}
        ),
        "dataset.json: dataset.a: ../../etc/passwd lies outside",
    ),
    (
        "path to nowhere",
        edit_json(dataset={"a": {"images": ["imagesTr/none.nii.gz"], "label": LABEL}}),
        "none.nii.gz: no such file",
    ),
    ("no imagesTr", lambda root: shutil.rmtree(root / "imagesTr"), "imagesTr: no such folder"),
]


@pytest.mark.parametrize(
    ("damage", "message"), [item[1:] for item in DAMAGES], ids=[d[0] for d in DAMAGES]
)
def test_damage_is_named_with_its_file(tiny_dataset, tmp_path, capfd, damage, message):
    damage(tiny_dataset)
    workspace = tmp_path / "workspace"
    code = umbrella.main(
        ["plan", str(tiny_dataset), "--workspace", str(workspace), "--folds", "2", "--workers", "1"]
    )
    captured = capfd.readouterr()
    assert code == 1, captured.err
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in captured.err
    joined = "\n".join(lines)
    import re

    assert re.search(message, joined), joined
    assert not workspace.exists() or not any(
        path for path in workspace.rglob("*") if path.is_file()
    )


def test_all_faults_are_listed_together(tiny_dataset, tmp_path, capfd):
    (tiny_dataset / "imagesTr/case_00_0000.nii.gz").write_bytes(b"x")
    edit_image("labelsTr/case_02.nii.gz", put(9))(tiny_dataset)
    (tiny_dataset / "labelsTr/case_03.nii.gz").unlink()
    code = umbrella.main(
        ["plan", str(tiny_dataset), "--workspace", str(tmp_path / "w"), "--folds", "9"]
    )
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert code == 1
    assert len(errors) == 4
    assert sum("too few cases for 9 folds" in line for line in errors) == 1


def test_too_few_cases_for_the_folds_names_the_remedy(tmp_path, capfd):
    root = write_dataset(tmp_path / "d", num_cases=3)
    plan = ["plan", str(root), "--workspace", str(tmp_path / "w"), "--no-preprocess"]
    assert umbrella.main([*plan, "--num-folds", "5"]) == 1
    error = capfd.readouterr().err
    assert "3 cases in 3 groups are too few cases for 5 folds. Add cases or use --num-folds 3." in (
        error
    )
    assert umbrella.main([*plan, "--num-folds", "3"]) == 0


@pytest.mark.parametrize("number", ["0", "-2", "1"])
def test_less_than_two_folds_are_refused_before_anything_is_read(tmp_path, capfd, number):
    for command in ("plan", "run"):
        arguments = [command, str(tmp_path / "none"), "--workspace", str(tmp_path / "w")]
        more = ["--configuration", "2d"] if command == "run" else []
        assert umbrella.main([*arguments, *more, "--num-folds", number]) == 2
        assert f"--num-folds {number}: at least 2 are needed" in capfd.readouterr().err


def test_a_data_set_without_any_foreground_is_refused(tiny_dataset, tmp_path, capfd):
    for path in (tiny_dataset / "labelsTr").iterdir():
        edit_image(f"labelsTr/{path.name}", voxels(np.zeros_like))(tiny_dataset)
    assert (
        umbrella.main(
            ["plan", str(tiny_dataset), "--workspace", str(tmp_path / "w"), "--folds", "2"]
        )
        == 1
    )
    assert "no case has any foreground" in capfd.readouterr().err


def test_black_frames_and_channels_are_warned_of_and_not_refused(tmp_path, caplog):
    root = write_dataset(tmp_path / "Dataset001_Tiny")
    for name in ("case_01", "case_02"):
        edit_image(f"imagesTr/{name}_0000.nii.gz", voxels(np.zeros_like))(root)
    dataset, _, errors = survey_dataset(root)
    fingerprint = make_fingerprint(dataset, workers=1, errors=errors, warnings=())
    told = [note for note in fingerprint.warnings if "the same value everywhere" in note]
    assert len(told) == 2
    assert not [note for note in fingerprint.warnings if "duplicate" in note]


def test_a_case_in_another_unit_is_warned_of(tmp_path):
    root = write_dataset(tmp_path / "Dataset001_Tiny")
    for name in (IMAGE, LABEL):
        edit_image(name, header(Spacing=(0.001, 0.001, 0.0015)))(root)
    fingerprint = make_fingerprint(survey_dataset(root)[0], workers=1)
    (told,) = [note for note in fingerprint.warnings if "millimetres" in note]
    assert "case_01_0000.nii.gz: its spacing is 0.0015 × 0.001 × 0.001 mm" in told
    assert "most cases about 1.5 × 1 × 1" in told
