"""Bad input ends in a clear line, an exit code, and nothing written."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.cli import evaluate as command
from tests.evaluation.conftest import write

SHAPE = (4, 6, 5)
FLIPPED = (-1, 0, 0, 0, -1, 0, 0, 0, 1)


def labels_like(value=0, shape=SHAPE, dtype=np.uint8):
    return np.full(shape, value, dtype)


@pytest.fixture
def study(folders):
    """References, predictions, two raters and probabilities."""
    (folders / "p").mkdir()
    for path in sorted((folders / "ref").iterdir()):
        for rater in ("r1", "r2"):
            (folders / rater).mkdir(exist_ok=True)
            shutil.copy(path, folders / rater / path.name)
        labels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        values = np.eye(3, dtype=np.float32)[labels].transpose(3, 0, 1, 2)
        np.savez(folders / f"p/{path.name[:2]}.npz", probabilities=values)
    return folders


def replace(study, **arrays):
    np.savez(study / "p/c1.npz", **arrays)


def probabilities(value=1 / 3, shape=(3, *SHAPE), dtype=np.float32):
    return np.full(shape, value, dtype)


FAULTS = {
    "different shape": (
        lambda s: write(s / "pred/c1.nii.gz", labels_like(shape=(4, 6, 6))),
        r"c1\.nii\.gz: shape \(4, 6, 6\), the reference has \(4, 6, 5\)",
    ),
    "different spacing": (lambda s: write(s / "pred/c1.nii.gz", labels_like()), "spacing"),
    "different direction": (
        lambda s: write(s / "pred/c1.nii.gz", labels_like(), (1, 2, 3), FLIPPED),
        "direction",
    ),
    "other grid of a rater": (
        lambda s: write(s / "r1/c1.nii.gz", labels_like()),
        r"r1/c1.*spacing",
    ),
    "no image": (lambda s: (s / "pred/c1.nii.gz").write_bytes(b"x"), "cannot be read"),
    "truncated": (
        lambda s: (s / "ref/c1.nii.gz").write_bytes((s / "ref/c1.nii.gz").read_bytes()[:-40]),
        r"ref/c1\.nii\.gz: (truncated|cannot be read)",
    ),
    "float labels": (
        lambda s: write(s / "pred/c1.nii.gz", labels_like(0.5, dtype=np.float32), (1, 2, 3)),
        "values that are no integers",
    ),
    "NaN labels": (
        lambda s: write(s / "pred/c1.nii.gz", labels_like(np.nan, dtype=np.float32), (1, 2, 3)),
        "or NaN",
    ),
    "several channels": (
        lambda s: sitk.WriteImage(
            sitk.GetImageFromArray(np.zeros((*SHAPE, 2), np.uint8), isVector=True),
            str(s / "pred/c1.nii.gz"),
        ),
        "several channels",
    ),
    "no names in common": (
        lambda s: [p.rename(p.with_name("y" + p.name)) for p in list((s / "pred").iterdir())],
        "No prediction has the name of a reference",
    ),
    "empty folder": (
        lambda s: [path.unlink() for path in list((s / "pred").iterdir())],
        "holds no label maps",
    ),
    "missing folder": (lambda s: shutil.rmtree(s / "r2"), r"r2: no such file or folder"),
    "a case twice": (
        lambda s: write(s / "pred/c1.nrrd", labels_like()),
        "the case 'c1' is also there as",
    ),
    "raters of other cases": (
        lambda s: [p.rename(p.with_name("y" + p.name)) for p in list((s / "r1").iterdir())],
        "No file of r1 has the name of a reference",
    ),
    "NaN probabilities": (lambda s: replace(s, probabilities=probabilities(np.nan)), "hold NaN"),
    "logits": (lambda s: replace(s, probabilities=probabilities(7.0)), "reach from 0 to 7"),
    "sums of 0.6": (lambda s: replace(s, probabilities=probabilities(0.2)), r"sum to 1 ± 0\.4"),
    "integer probabilities": (
        lambda s: replace(s, probabilities=probabilities(1, dtype=np.uint8)),
        "expected floating point",
    ),
    "too many channels": (
        lambda s: replace(s, probabilities=probabilities(0.2, (5, *SHAPE))),
        r"has 5 channels; expected 3",
    ),
    "probabilities of another shape": (
        lambda s: replace(s, probabilities=probabilities(shape=(3, 4, 6, 6))),
        r"c1\.npz: shape",
    ),
    "two dimensions": (
        lambda s: replace(s, probabilities=probabilities(shape=(3, 4))),
        r"holds an array of shape \(3, 4\)",
    ),
    "two arrays": (
        lambda s: replace(s, a=probabilities(), b=probabilities()),
        "expected one called 'probabilities'",
    ),
    "pickled objects": (
        lambda s: np.savez(s / "p/c1.npz", probabilities=np.array([{}], dtype=object)),
        "cannot be read as an array",
    ),
    "a broken archive": (lambda s: (s / "p/c1.npz").write_bytes(b"PK"), "truncated or damaged"),
    "no probabilities": (
        lambda s: [path.unlink() for path in list((s / "p").iterdir())],
        "holds no probabilities",
    ),
}


def arguments_of(study):
    named = {name: str(study / name) for name in ("ref", "pred", "r1", "r2", "p", "out")}
    text = "{ref} {pred} --raters {r1} {r2} --probabilities {p} -o {out}"
    return text.format(**named).split()


@pytest.mark.parametrize("name", FAULTS)
def test_bad_input_is_named_and_nothing_written(study, name, capsys):
    damage, message = FAULTS[name]
    damage(study)
    code = command.main(arguments_of(study))
    error = capsys.readouterr().err
    assert code == 1
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert 1 <= len(lines) <= 2
    assert "Traceback" not in error
    assert re.search(message, error), error
    assert not (study / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", "dise"], "Metric 'dise' is unknown"),
        (["--metrics", "ece"], "needs probabilities: give --probabilities"),
        (["--metrics", "crps"], "needs raters: give --raters"),
        (["--profile", "kits20"], "Profile 'kits20' is unknown"),
        (["--tolerance", "x"], "expected MM or CLASS=MM"),
        (["--both-empty", "x"], "both empty 'x'"),
        (["--labels", "none.json"], "no such file"),
        (["--lesion-sizes", "2", "1"], "expected ascending volumes"),
        (["--profile", "qubiq"], "needs several raters"),
        (["-o", "scores.json"], "is the name of a file"),
    ],
)
def test_wrong_arguments_are_named(folders, arguments, message, capsys):
    assert command.main([str(folders / "ref"), str(folders / "pred"), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_results_are_not_replaced_unless_asked(folders, capsys):
    arguments = [str(folders / "ref"), str(folders / "pred"), "-o", str(folders / "out")]
    assert command.main(arguments) == 0
    before = (folders / "out/summary.json").read_bytes()
    assert command.main([*arguments, "--metrics", "dice"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert (folders / "out/summary.json").read_bytes() == before
    assert command.main([*arguments, "--overwrite", "--metrics", "dice"]) == 0
    assert (folders / "out/summary.json").read_bytes() != before


def test_nothing_is_scored_without_arguments(capsys):
    with pytest.raises(SystemExit) as stop:
        command.main([])
    assert stop.value.code == 2
    assert command.main(["--list-metrics", "--list-profiles"]) == 0
    assert "hd95" in (found := capsys.readouterr().out)
    assert "curvas2024" in found


def test_a_rater_without_a_case_and_a_missing_prediction_are_said(study, capsys):
    (study / "r2/c1.nii.gz").unlink()
    (study / "pred/c2.nii.gz").unlink()
    (study / "p/c3.npz").unlink()
    code = command.main(arguments_of(study))
    assert code == 0
    shown = capsys.readouterr().out
    assert "Rater r2 has no label map of 1 cases ('c1')" in shown
    assert "1 predictions are missing and count as worst: c2" in shown
    assert "Probabilities are missing for 1 cases ('c3')" in shown
    plain = json.loads((study / "out/summary.json").read_text())
    assert plain["cases"]["c2"]["label 1"]["dice"] == 0
    assert {"dice_per_rater:r1", "dice_per_rater:r2"} <= set(plain["cases"]["c0"]["label 1"])
    assert "dice_per_rater:r2" not in plain["cases"]["c1"]["label 1"]
    assert plain["cases"]["c3"]["all classes"]["ece"] == 1
    assert (study / "out/reliability.png").stat().st_size > 1000
    assert (study / "out/reliability.csv").read_text().startswith("method,class,low")
