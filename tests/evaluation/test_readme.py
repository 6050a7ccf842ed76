"""The README of the package: its lines run, and its examples of a metric and a challenge work."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest

import evaluation
from autoseg.cli import evaluate as command
from tests.conftest import ROOT
from tests.evaluation.conftest import write

TEXT = (ROOT / "evaluation/README.md").read_text(encoding="utf-8")
LINES = re.findall(r"^autoseg_evaluate .*$", TEXT, re.MULTILINE)
SPACING = (0.8, 0.8, 3.0)


def block(name):
    return re.search(rf"<!-- {name} -->\n```python\n(.*?)```", TEXT, re.DOTALL)[1]


def run(name):
    """What a block of Python defines."""
    names = {"__name__": name}
    exec(compile(block(name), f"README, {name}", "exec"), names)
    return names


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with all that the README's lines name."""
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((6, 16, 16), np.uint8)
    labels[1:5, 3:9, 3:9], labels[2:4, 10:14, 10:14] = 1, 2
    for index, folder in enumerate(("labels", "predictions", "ours", "theirs", "r1", "r2", "r3")):
        for case in ("a", "b"):
            write(tmp_path / folder / f"{case}.nii.gz", np.roll(labels, index % 3, 2), SPACING)
    names = {"labels": {"background": 0, "organ": 1, "tumour": 2}}
    (tmp_path / "dataset.json").write_text(json.dumps(names))
    for case in ("a", "b"):
        values = np.stack([labels == value for value in range(3)]).astype(np.float32)
        np.savez(tmp_path / f"predictions/{case}.npz", probabilities=values * 0.7 + 0.1)
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_the_lines_for_the_shell_run(here, line, capsys):
    assert command.main(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    assert {"summary.json", "cases.csv", "summary.md"} <= {
        path.name for path in (here / "scores").iterdir()
    }


def test_there_are_lines_for_the_shell():
    assert len(LINES) == 4


def test_the_functions_run():
    found = run("functions")
    pair = (found["reference"], found["prediction"])
    assert evaluation.dice(*pair) == pytest.approx(0.9)
    scores = evaluation.score_arrays(
        found["labels"], found["predicted"], found["classes"], spacing_mm=found["spacing_mm"]
    )
    assert scores["organ"]["dice"] == evaluation.dice(*pair)


def test_folders_are_scored(here):
    found = run("folders")
    assert found["summary"].labels == ("organ", "tumour")
    assert (here / "scores/summary.json").is_file()


def test_the_example_of_a_metric_is_scored_by_name(here, monkeypatch, capsys):
    metric = run("metric")["CENTRE_DISTANCE"]
    monkeypatch.setitem(evaluation.METRICS, "centre_distance", metric)
    first, second = np.zeros((2, 8, 8, 8), np.uint8)
    first[1:3, 1:3, 1:3] = second[1:3, 1:3, 3:5] = 1
    found = evaluation.score_arrays(
        first,
        second,
        {"shifted": (1,), "missing": (2,)},
        spacing_mm=(3.0, 0.8, 0.8),
        metrics=["centre_distance"],
    )
    assert found["shifted"]["centre_distance"] == pytest.approx(2 * 0.8)
    assert np.isnan(found["missing"]["centre_distance"])
    (here / "predictions/b.nii.gz").unlink()
    line = "labels predictions --labels dataset.json --metrics centre_distance dice -o scores"
    assert command.main(line.split()) == 0, capsys.readouterr().err
    cases = json.loads((here / "scores/summary.json").read_text())["cases"]
    assert cases["a"]["organ"]["centre_distance"] == pytest.approx(0.8)
    diagonal = np.linalg.norm(np.array([6, 16, 16]) * SPACING[::-1])
    assert cases["b"]["organ"]["centre_distance"] == pytest.approx(diagonal)


def test_the_example_of_a_challenge_is_scored_by_name(here, monkeypatch, capsys):
    monkeypatch.setitem(evaluation.PROFILES, "vessels", run("challenge")["PROFILE"])
    for case in ("a", "b"):
        (here / f"own/{case}").mkdir(parents=True)
        (here / f"labels/{case}.nii.gz").rename(here / f"own/{case}/mask.nii.gz")
    assert command.main(["own", "ours", "theirs", "--profile", "vessels", "-o", "scores"]) == 0, (
        capsys.readouterr().err
    )
    plain = json.loads((here / "scores/summary.json").read_text())
    assert set(plain["methods"]) == {"ours", "theirs"}
    case = plain["methods"]["theirs"]["cases"]["a"]
    # theirs is the reference itself, ours is shifted by two columns of six.
    assert case["artery"] == case["vein"] == {"dsc": 1, "nsd": 1}
    case = plain["methods"]["ours"]["cases"]["a"]
    assert case["artery"]["dsc"] == pytest.approx(4 / 6)
    assert plain["rankings"][0]["ranks"] == {"theirs": 1, "ours": 2}
