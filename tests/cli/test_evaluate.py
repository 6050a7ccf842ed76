"""autoseg_evaluate as people call it."""

from __future__ import annotations

import json

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
        command.main(["--raters", "ratersTr", "labels", "predictions"])
    assert "Put them first, or -- between" in capsys.readouterr().err


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
