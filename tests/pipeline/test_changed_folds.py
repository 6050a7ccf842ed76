"""Models are tied to their cases: trainings and scores after the folds have changed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from autoseg import pipeline, planned
from autoseg.checkpoint import load_checkpoint, save_checkpoint
from autoseg.cli import train as train_command
from autoseg.cli import validate as validate_command
from autoseg.errors import InputError, UsageError
from autoseg.schema import serialise
from autoseg.schema.labels import LabelClass
from autoseg.workspace import Workspace
from tests.conftest import write_dataset
from tests.pipeline.test_previous_stages import edit_plan, exchange, small


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace whose fold 0 is trained."""
    root = tmp_path_factory.mktemp("trained")
    data = write_dataset(root / "Dataset001_Tiny", num_cases=6)
    pipeline.plan(data, root / "ws", configurations=["3d_fullres"], num_folds=2, preprocess=False)
    edit_plan(root / "ws", lambda made: {name: small(item) for name, item in made.items()})
    pipeline.train(root / "ws", "3d_fullres", 0)
    return root / "ws"


@pytest.fixture
def workspace(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "ws")


def edit_splits(workspace, edit):
    path = Workspace(workspace).splits
    plain = json.loads(path.read_text())
    edit(plain)
    path.write_text(json.dumps(plain))


@pytest.mark.parametrize("is_finished", [False, True])
def test_a_training_does_not_go_on_with_former_validation_cases(workspace, capsys, is_finished):
    run = Workspace(workspace).run("3d_fullres", 0)
    if not is_finished:
        run.final.unlink()
    before = run.last.read_bytes()
    splits = Workspace(workspace).splits.read_text()
    _, known = exchange(workspace)
    train = [str(workspace), "3d_fullres", "0", "--resume"]
    assert train_command.main(train) == 1
    error = capsys.readouterr().err
    assert f"has learnt from validation cases of the fold as it is now: '{known}'" in error
    assert f"autoseg_train {workspace} 3d_fullres 0 --overwrite" in error
    assert run.last.read_bytes() == before
    # Both remedies work.
    Workspace(workspace).splits.write_text(splits)
    assert train_command.main(train) == 0
    exchange(workspace)
    assert train_command.main([*train[:3], "--overwrite"]) == 0
    assert validate_command.main(train[:3]) == 0


def test_cases_that_a_model_has_learnt_are_not_scored(workspace, capsys):
    _, known = exchange(workspace)
    assert validate_command.main([str(workspace), "3d_fullres", "0"]) == 1
    assert f"as it is now: '{known}'" in capsys.readouterr().err
    assert not Workspace(workspace).run("3d_fullres", 0).validation.exists()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda plain: plain[0]["train"].pop(), "cases that the fold does not train on now"),
        (lambda plain: plain[0]["val"].pop(), "was validated on other cases"),
        (
            lambda plain: plain[0]["train"].append(plain[0]["val"].pop()),
            "has not learnt from training cases that the fold has now",
        ),
    ],
    ids=["a training case less", "a validation case less", "a case more"],
)
def test_a_changed_fold_is_another_fold(workspace, edit, message):
    edit_splits(workspace, edit)
    with pytest.raises(InputError, match=message):
        pipeline.validate(workspace, "3d_fullres", 0)
    with pytest.raises(InputError, match=message):
        pipeline.train(workspace, "3d_fullres", 0, resume=True)


def test_a_model_that_does_not_say_what_it_learnt_is_not_scored(workspace):
    path = Workspace(workspace).run("3d_fullres", 0).final
    model = load_checkpoint(path)
    unknown = replace(model.provenance, train_cases=(), val_cases=())
    save_checkpoint(path, replace(model, provenance=unknown))
    with pytest.raises(InputError, match="does not say which cases it has learnt from"):
        pipeline.validate(workspace, "3d_fullres", 0)


def test_a_model_of_other_labels_is_not_scored(workspace):
    place = Workspace(workspace)
    dataset = planned.load_dataset(place)
    classes = (LabelClass(name="all", values=(1, 2)),)
    changed = replace(dataset, labels=replace(dataset.labels, classes=classes))
    serialise.save(changed, place.dataset)
    with pytest.raises(InputError, match="was trained for other labels"):
        pipeline.validate(workspace, "3d_fullres", 0)


def test_a_finished_training_does_not_ignore_another_schedule(workspace):
    with pytest.raises(UsageError, match="--epochs 5: the training began with 1 epoch"):
        pipeline.train(workspace, "3d_fullres", 0, resume=True, epochs=5)
    with pytest.raises(UsageError, match="--time-budget 60s: the training began with"):
        pipeline.train(workspace, "3d_fullres", 0, resume=True, time_budget="1m")
    pipeline.train(workspace, "3d_fullres", 0, resume=True, epochs=1)


def test_a_network_of_all_cases_does_not_go_on_with_new_ones(workspace):
    place = Workspace(workspace)
    pipeline.train(workspace, "3d_fullres", "all")
    place.run("3d_fullres", "all").final.unlink()
    dataset = planned.load_dataset(place)
    new = replace(dataset.cases[0], identifier="new")
    serialise.save(replace(dataset, cases=(*dataset.cases, new)), place.dataset)
    with pytest.raises(InputError, match="has not learnt from training cases .* now: 'new'"):
        pipeline.train(workspace, "3d_fullres", "all", resume=True)


def test_a_model_says_what_was_asked_for_and_which_files_it_has_seen(workspace):
    place = Workspace(workspace)
    made = load_checkpoint(place.run("3d_fullres", 0).final).provenance
    assert made.request == planned.load_plan(place).request
    assert made.request.planner == "auto"
    assert made.data_signature
