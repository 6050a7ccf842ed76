"""autoseg_evaluate as people call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.cli import evaluate as command


def write(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(np.asarray(labels, np.uint8)), str(path))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    labels = np.zeros((4, 6, 6))
    labels[1:3, 1:4, 1:4] = 1
    for name in ("a", "b"):
        for folder in ("labels", "predictions", "ratersTr/r1", "ratersTr/r2"):
            write(tmp_path / folder / f"{name}.nii.gz", labels)
        write(tmp_path / "bright" / f"{name}.nii.gz", 255 * labels)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "organ": 1}}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_metrics_that_are_asked_for_are_all_printed(folders, capsys):
    names = [
        "dice",
        "iou",
        "precision",
        "recall",
        "specificity",
        "hd95",
        "asd",
        "masd",
        "hd",
        "nsd",
    ]
    assert command.main(["labels", "predictions", "--metrics", *names]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)


def test_options_may_stand_before_the_folders(folders, capsys):
    assert command.main(["--metrics", "dice", "iou", "labels", "predictions"]) == 0
    assert "1.0000" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main(["--raters", "ratersTr/r1", "ratersTr/r2", "labels", "predictions"])
    assert "Put them first, or -- between" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "--raters ratersTr labels predictions",
        "--raters ratersTr -- labels predictions",
        "--raters ratersTr staple predictions --metrics dice",
        "--tolerance 2 organ=3 labels predictions --labels dataset.json",
        "--lesion-sizes 0.1 1 labels predictions --metrics lesion_f1",
        "labels --metrics dice predictions",
        "--both-empty 1 --metrics dice nsd:2mm labels predictions bright",
    ],
)
def test_options_of_several_values_may_stand_anywhere(folders, text, capsys):
    assert command.main(text.split()) == 0
    assert "1.0000" in capsys.readouterr().out


def test_lesion_sizes_that_are_none_are_named(folders, capsys):
    assert command.main(["labels", "predictions", "--lesion-sizes", "x"]) == 1
    assert "Lesion sizes x: expected volumes in ml" in capsys.readouterr().err


def test_classes_of_raters_are_those_of_their_data_set(folders, capsys, monkeypatch):
    (folders / "elsewhere").mkdir()
    (folders / "elsewhere/dataset.json").write_text(json.dumps({"labels": {"wrong": 1}}))
    monkeypatch.chdir(folders / "elsewhere")
    for raters in (["../ratersTr"], ["../ratersTr/r1", "../ratersTr/r2"]):
        arguments = ["majority", "../predictions", "--metrics", "dice", "--raters", *raters]
        assert command.main(arguments) == 0
        assert "organ" in (found := capsys.readouterr().out)
        assert "wrong" not in found


def test_a_stray_file_among_the_raters_is_none(folders, capsys):
    (folders / "ratersTr/readme.txt").write_text("two readers")
    (folders / "ratersTr/notes").mkdir()
    arguments = ["labels", "predictions", "--raters", "ratersTr", "--metrics", "dice_per_rater"]
    assert command.main(arguments) == 0
    assert "dice per rater:r2" in (found := capsys.readouterr().out)
    assert "notes" not in found


def test_scoring_some_of_many_classes_is_no_surprise(folders, capsys):
    for path in (folders / "labels").iterdir():
        labels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        labels[0, 0, 0] = 7
        write(path, labels)
        write(folders / "predictions" / path.name, labels)
    assert command.main(["labels", "predictions", "--labels", "dataset.json"]) == 0
    found = capsys.readouterr().out
    assert "References hold values that are no class: 7 (in 2 cases, such as 'a')" in found
    assert "Predictions hold values" not in found


def test_what_a_profile_does_otherwise_is_said_once(folders, capsys):
    write(folders / "predictions/a.nii.gz", np.full((4, 6, 6), 2))
    arguments = ["labels", "predictions", "--profile", "isles22_atlas"]
    assert command.main(arguments) == 0
    found = capsys.readouterr().out
    assert found.count("values above 1 count several times") == 1


def run(folders, *arguments, **more):
    command = [sys.executable, "-m", "autoseg", "evaluate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def test_an_ascii_terminal_is_enough(folders):
    for name in ("labels", "predictions"):
        (folders / name / "a.nii.gz").rename(folders / name / "größe.nii.gz")
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = run(folders, "labels", "predictions", "-o", "out", env=plain)
    assert (found.returncode, found.stderr) == (0, "")
    assert "1.0000" in found.stdout
    (folders / "predictions/größe.nii.gz").unlink()
    found = run(folders, "labels", "predictions", env=plain)
    assert (found.returncode, found.stderr) == (0, "")
    assert "1 predictions are missing" in found.stdout


@pytest.mark.parametrize("shell", ["| head -n 1", "2>&-", ">&-", "2>&- >&-", "</dev/null 2>&-"])
def test_a_reader_that_goes_and_streams_that_are_closed_are_no_tracebacks(folders, shell):
    text = f"{sys.executable} -m autoseg evaluate labels predictions -o out {shell}"
    found = subprocess.run(text, shell=True, capture_output=True, text=True, check=False)
    assert found.returncode == 0
    assert "Traceback" not in found.stderr
    assert found.stderr == ""
    # Nothing that was meant for a closed stream went into a file.
    assert json.loads((folders / "out/summary.json").read_text())["mean"]["dice"] == 1


def test_a_case_whose_name_has_lines_forges_none(folders, capsys):
    (folders / "predictions/a.nii.gz").rename(folders / "predictions/x\nerror: y.nii.gz")
    assert command.main(["labels", "predictions"]) == 0
    found = capsys.readouterr().out
    assert r"x\nerror: y" in found
    assert not [line for line in found.splitlines() if line.startswith("error")]


def test_a_folder_of_raters_stands_for_its_folders(folders, capsys):
    arguments = ["staple", "predictions", "--raters", "ratersTr", "--metrics", "dice_per_rater"]
    assert command.main(arguments) == 0
    assert "1.0000" in capsys.readouterr().out


def test_predicted_values_that_are_no_class_are_said_once(folders, capsys):
    assert command.main(["labels", "bright", "--labels", "dataset.json"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("hold values that are no class: 255 (in 2 cases, such as 'a')") == 1


def test_help_has_an_example_with_raters(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    assert "autoseg_evaluate staple predictions --raters ratersTr" in capsys.readouterr().out
