"""`autoseg run`, the second time and with few cases."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from autoseg.cli import train as train_command
from autoseg.cli import umbrella
from tests.conftest import write_dataset

FEW = ["--epochs", "1", "--time-budget", "3s", "--configuration", "3d_fullres", "--device", "cpu"]


def run(data, workspace, *options):
    arguments = ["run", str(data), "--workspace", str(workspace), "--workers", "1"]
    return umbrella.main([*arguments, *FEW, *options])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A data set, and its workspace after a first run."""
    root = tmp_path_factory.mktemp("run")
    data = write_dataset(root / "Dataset001_Tiny", num_cases=6)
    assert run(data, root / "ws", "--num-folds", "2") == 0
    return data, root / "ws"


@pytest.fixture
def place(done, tmp_path):
    """The data set, and a copy of the workspace."""
    return done[0], shutil.copytree(done[1], tmp_path / "ws")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "2"], "was trained with 1 epoch (now 2 epochs)"),
        (["--time-budget", "4s"], "was trained with --time-budget 3s (now 4s)"),
        (["--memory", "3GB"], "was trained with no --memory (now 3GB)"),
        (["--network", "M"], "was trained with no --network (now M)"),
    ],
)
def test_changed_options_do_not_take_an_earlier_model_for_theirs(place, capsys, options, message):
    data, workspace = place
    final = workspace / "runs/3d_fullres/fold_0/checkpoint_final.pt"
    before = final.stat().st_mtime_ns
    assert run(data, workspace, *options) == 2
    error = capsys.readouterr().err
    assert f"{final.parent}: {message}" in error
    assert final.stat().st_mtime_ns == before
    # The command that it names makes the run go on.
    remedy = error.split("Train it anew with autoseg_train ")[1].split(",")[0].split()
    assert train_command.main(remedy) == 0
    assert run(data, workspace, *options) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num-folds", "3"], "--num-folds 3: "),
        (["--seed", "1"], "--seed 1: "),
        (["--group-pattern", "^(case_0)[0-3]"], "--group-pattern: "),
        (["--folds", "0", "2"], "There is no fold 2. There are 0 to 1"),
        (["--folds", "-1"], "There is no fold -1. "),
    ],
)
def test_changed_folds_are_refused(place, capsys, options, message):
    data, workspace = place
    splits = (workspace / "splits_final.json").read_text()
    assert run(data, workspace, *options) == 2
    assert message in capsys.readouterr().err
    assert (workspace / "splits_final.json").read_text() == splits
    assert run(data, workspace) == 0
    assert "is trained already" in capsys.readouterr().err


def test_added_cases_are_refused_and_the_remedy_works(place, tmp_path, capsys):
    _, workspace = place
    data = shutil.copytree(place[0], tmp_path / place[0].name)
    plain = json.loads((workspace / "cases.json").read_text().replace(str(place[0]), str(data)))
    (workspace / "cases.json").write_text(json.dumps(plain))
    more = write_dataset(tmp_path / "more", num_cases=7)
    for name in ("imagesTr/{}_0000.nii.gz", "labelsTr/{}.nii.gz"):
        shutil.copy(more / name.format("case_06"), data / name.format("new"))
    assert run(data, workspace) == 1
    error = capsys.readouterr().err
    assert "1 case is in no fold: 'new'" in error
    assert f"remove {workspace / 'splits_final.json'}, plan again" in error
    (workspace / "splits_final.json").unlink()
    assert run(data, workspace) == 1
    error = capsys.readouterr().err
    remedy = error.split("Train it anew with autoseg_train ")[1].split(",")[0].split()
    assert train_command.main([*remedy, "--epochs", "1"]) == 0
    assert run(data, workspace) == 0


def test_changed_files_are_said(place, tmp_path, capsys):
    data, workspace = place
    path = data / "labelsTr/case_05.nii.gz"
    status = path.stat()
    os.utime(path, (1, 1))
    try:
        assert run(data, workspace) == 0
        error = capsys.readouterr().err
        assert "files of the data set have changed since it was trained" in error
    finally:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_one_case_is_trained_on_as_a_whole(tmp_path, capsys):
    data = write_dataset(tmp_path / "Dataset001_One", num_cases=1)
    for time in ("first", "second"):
        assert run(data, tmp_path / "ws") == 0, time
        captured = capsys.readouterr()
        assert "nothing is left to validate" in captured.out
        final = tmp_path / "ws/runs/3d_fullres/fold_all/checkpoint_final.pt"
        assert f"Model              {final}" in captured.out
        assert "Scores" not in captured.out
    assert "is trained already" in captured.err
    assert run(data, tmp_path / "ws", "--folds", "0") == 2
    assert "There is no fold 0: " in capsys.readouterr().err
    assert umbrella.main(["validate", str(tmp_path / "ws"), "3d_fullres", "all"]) == 2
    assert "have learnt from all cases" in capsys.readouterr().err
    out = ["-i", str(data / "imagesTr"), "-o", str(tmp_path / "out")]
    assert umbrella.main(["predict", str(tmp_path / "ws"), *out]) == 0


def test_two_cases_make_two_folds(tmp_path, capsys):
    data = write_dataset(tmp_path / "Dataset001_Two", num_cases=2)
    assert run(data, tmp_path / "asked", "--num-folds", "4") == 1
    assert "Add cases or use --num-folds 2" in capsys.readouterr().err
    assert run(data, tmp_path / "asked", "--num-folds", "2") == 0
    assert run(data, tmp_path / "ws") == 0
    assert "2 cases in 2 groups make 2 folds instead of 5" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "ws/splits_final.json").read_text())) == 2
