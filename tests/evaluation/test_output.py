"""Results are there wholly or known to be half; finished ones are recognised."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import evaluation
from evaluation.errors import EvaluationError
from evaluation.output import FILES, check_output, replaced_files
from tests.evaluation.conftest import write

KILLED = """
import os, signal, sys
from pathlib import Path
import evaluation
name, number, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
original, calls = getattr(os, name), []
def counted(*arguments, **options):
    calls.append(None)
    if len(calls) > number:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
setattr(os, name, counted)
evaluation.evaluate_folders(
    folder / "ref", folder / "pred", evaluation.Classes(members={"one": (1,), "two": (2,)}),
    probabilities=[folder / "p"], metrics=["dice", "ece"], output=folder / "out",
)
"""


@pytest.fixture
def study(folders):
    (folders / "p").mkdir()
    for path in sorted((folders / "pred").iterdir()):
        values = np.full((3, 4, 6, 5), 1 / 3, np.float32)
        np.savez(folders / f"p/{path.name[:2]}.npz", probabilities=values)
    return folders


def evaluate(folder, **more):
    options = {"metrics": ["dice", "ece"], "output": folder / "out", **more}
    return evaluation.evaluate_folders(
        folder / "ref",
        folder / "pred",
        evaluation.Classes(members={"one": (1,), "two": (2,)}),
        probabilities=[folder / "p"],
        **options,
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(("call", "number"), [("replace", n) for n in range(6)] + [("fsync", 2)])
def test_the_same_command_goes_on_after_a_kill_at_any_rename(study, call, number):
    expected = contents(evaluate(study) and study / "out")
    assert expected.keys() == set(FILES)
    (study / "out").rename(study / "whole")
    command = [sys.executable, "-c", KILLED, call, str(number), str(study)]
    code = subprocess.run(command, check=False).returncode
    assert code == (0 if number == 5 else -signal.SIGKILL)
    found = sorted(set(contents_of_plain(study / "out")))
    assert "summary.json" not in found or number == 5
    evaluate(study)
    assert contents(study / "out") == expected


def contents_of_plain(folder):
    return [path.name for path in folder.iterdir() if path.is_file()]


def test_finished_results_are_recognised_and_read(study):
    first = evaluate(study)
    before = {path: path.stat().st_mtime_ns for path in (study / "out").iterdir()}
    second = evaluate(study)
    assert {path: path.stat().st_mtime_ns for path in (study / "out").iterdir()} == before
    assert second.scores == first.scores
    assert second.table() == first.table()
    assert second.notes[:-1] == first.notes
    assert "of the same files and options" in second.notes[-1]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {"metrics": ["dice"]},
        lambda s: {"settings": evaluation.Settings(both_empty="1")},
        lambda s: {"seed": 1},
        lambda s: write(s / "pred/c0.nii.gz", np.ones((4, 6, 5), np.uint8), (1, 2, 3)) or {},
        lambda s: (s / "p/c1.npz").unlink() or {},
    ],
)
def test_results_of_other_files_or_options_are_not_replaced(study, change):
    evaluate(study)
    before = contents(study / "out")
    more = change(study)
    with pytest.raises(EvaluationError, match="of other files or options"):
        evaluate(study, **more)
    assert contents(study / "out") == before
    evaluate(study, overwrite=True, **more)
    assert contents(study / "out") != before


def test_files_of_the_user_are_not_half_work(study):
    (study / "out").mkdir()
    (study / "out/cases.csv").write_text("mine")
    with pytest.raises(EvaluationError, match=r"cases\.csv: exists already"):
        evaluate(study)
    assert (study / "out/cases.csv").read_text() == "mine"


def test_nothing_of_an_earlier_evaluation_is_left_among_the_new_files(study):
    evaluate(study)
    evaluate(study, metrics=["dice"], overwrite=True)
    assert set(contents(study / "out")) == {"summary.json", "cases.csv", "summary.md"}


def test_two_evaluations_do_not_write_into_one_folder(tmp_path):
    with (
        replaced_files(tmp_path),
        pytest.raises(EvaluationError, match="is being written there"),
        replaced_files(tmp_path),
    ):
        pass
    with replaced_files(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_clear_line(study):
    (study / "file").write_text("")
    with pytest.raises(EvaluationError, match=r"file/out: cannot be written \(Not a directory\)"):
        evaluate(study, output=study / "file/out")


def test_a_full_disk_leaves_nothing(study, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EvaluationError, match="cannot be written .No space left on device"):
        evaluate(study)
    assert not list((study / "out").iterdir())


def test_summaries_that_are_no_json_are_results_of_another_request(tmp_path):
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(EvaluationError, match="exists already"):
        check_output(tmp_path, overwrite=False, request="x")
    assert not check_output(tmp_path, overwrite=True, request="x")
