"""Several raters through the commands: real outlines, every target of the table."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import pytest

from autoseg.cli import umbrella
from autoseg.planned import load_plan
from autoseg.preprocessing.store import Store, store_key
from autoseg.targets import TARGETS
from autoseg.workspace import Workspace
from tests.pipeline.test_previous_stages import edit_plan, small

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def workspace(real_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("raters") / "ws"
    source = real_data / "Dataset103_QubiqBrainGrowth"
    arguments = ["plan", str(source), "--workspace", str(root), "--configurations", "2d"]
    assert umbrella.main([*arguments, "--memory", "600MB", "--device", "cpu"]) == 0
    return Workspace(root)


def test_the_outlines_of_all_seven_raters_are_stored(workspace):
    configuration = load_plan(workspace).configurations["2d"]
    store = Store(workspace.preprocessed(store_key(configuration)))
    cases = sorted(path.stem for path in store.folder.glob("*.json"))
    assert len(cases) == 27
    for case in cases:
        assert len(store.raters(case)) == len(store.read(case).labels) == 7


@pytest.mark.parametrize("target", list(TARGETS))
def test_every_target_trains(workspace, target):
    def edit(made):
        item = small(made["2d"])
        return {"2d": replace(item, training=replace(item.training, target=target))}

    edit_plan(workspace.root, edit)
    arguments = ["train", str(workspace.root), "2d", "0", "--epochs", "1", "--device", "cpu"]
    assert umbrella.main([*arguments, "--overwrite"]) == 0
    run = workspace.run("2d", 0)
    assert f"target: {target}" in run.configuration.read_text()
    with run.history.open() as stream:
        (row,) = csv.DictReader(stream)
    assert 0 < float(row["train_loss"]) < 4
    assert math.isfinite(float(row["val_loss"]))
    assert 0 <= float(row["val_dice_mean"]) <= 1
