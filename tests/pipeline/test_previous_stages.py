"""Networks that build on others: cascades and multi-path networks, through the commands."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoseg import pipeline, planned
from autoseg.cli import plan as plan_command
from autoseg.cli import predict as predict_command
from autoseg.cli import train as train_command
from autoseg.errors import InputError
from autoseg.images.files import read_image
from autoseg.inference.models import load_models
from autoseg.inference.network import LoadedNetwork, Options
from autoseg.inference.previous_stages import CaseWork, stage_input
from autoseg.planned import load_plan
from autoseg.preprocessing.case import preprocess_case
from autoseg.preprocessing.stage_store import StageStore
from autoseg.preprocessing.store import store_key
from autoseg.schema import serialise
from autoseg.schema.dataset import Case
from autoseg.schema.plan import PreviousStage
from autoseg.workspace import Workspace
from tests.conftest import write_dataset

FOLDS = 2


def small(item, **changes):
    """A configuration that trains in a second."""
    stages = len(item.network.features)
    training = replace(
        item.training, epochs=1, steps_per_epoch=2, optimiser="adamw", schedule="one_cycle"
    )
    network = item.network
    if network.architecture == "plain_unet":
        network = replace(network, features=(4,) * stages)
    base = replace(item, network=network, training=training, batch_size=2)
    return replace(base, **changes)


def edit_plan(workspace, edit):
    """Replaces the configurations of a workspace's plan."""
    place = Workspace(workspace)
    made = load_plan(place)
    serialise.save(replace(made, configurations=edit(made.configurations)), place.plan)


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    """A workspace with a cascade whose first stage is trained."""
    root = tmp_path_factory.mktemp("cascade")
    data = write_dataset(root / "Dataset001_Tiny", num_cases=6)
    workspace = root / "ws"
    command = [str(data), "--workspace", str(workspace), "--configurations", "3d_fullres"]
    assert plan_command.main([*command, "--folds", str(FOLDS), "--no-preprocess"]) == 0

    def edit(made):
        fullres = small(made["3d_fullres"])
        lowres = replace(
            fullres,
            name="3d_lowres",
            spacing_mm=tuple(2 * step for step in fullres.spacing_mm),
        )
        second = replace(
            fullres,
            name="3d_cascade_fullres",
            previous=PreviousStage(names=("3d_lowres",), kind="labels"),
        )
        return {"3d_lowres": lowres, "3d_cascade_fullres": second}

    edit_plan(workspace, edit)
    return data, workspace


def test_a_cascade_says_which_folds_are_missing_and_then_runs_both_stages(
    cascade, capsys, tmp_path
):
    data, workspace = cascade
    code = train_command.main([str(workspace), "3d_cascade_fullres", "0"])
    assert code == 1
    lines = capsys.readouterr().err.splitlines()
    assert "2 of its 2 folds are not trained" in "\n".join(lines)
    assert lines[-1].endswith(f"autoseg_train {workspace} 3d_lowres 1")
    assert not (workspace / "runs" / "3d_cascade_fullres").exists()
    for fold in range(FOLDS):
        assert train_command.main([str(workspace), "3d_lowres", str(fold)]) == 0
    assert train_command.main([str(workspace), "3d_cascade_fullres", "0"]) == 0
    summary = pipeline.validate(workspace, "3d_cascade_fullres", 0)
    assert len({item.case for item in summary.scores}) == 3
    # New images: the ensemble of the first stage, then the second, from one command.
    model = workspace / "runs/3d_cascade_fullres"
    arguments = [str(model), "-i", str(data / "imagesTr"), "-o", str(tmp_path / "out")]
    assert predict_command.main(arguments) == 0
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 6


def exchange(workspace):
    """Exchanges a validation case of fold 0 and one of fold 1, and returns both."""
    path = Workspace(workspace).splits
    plain = json.loads(path.read_text())
    first, second = plain[0]["val"][0], plain[1]["val"][0]
    other = {first: second, second: first}
    changed = [
        {part: [other.get(name, name) for name in names] for part, names in fold.items()}
        for fold in plain
    ]
    path.write_text(json.dumps(changed))
    return first, second


def test_a_cascade_does_not_learn_from_predictions_of_cases_that_its_first_stage_knew(
    cascade, tmp_path, capsys
):
    workspace = shutil.copytree(cascade[1], tmp_path / "ws")
    before = workspace.joinpath("splits_final.json").read_text()
    known = exchange(workspace)
    stages = {path: path.stat().st_mtime_ns for path in (workspace / "stages").rglob("*")}
    assert train_command.main([str(workspace), "3d_cascade_fullres", "1"]) == 1
    lines = capsys.readouterr().err.splitlines()[-5:]
    assert "The folds have changed since 3d_lowres was trained" in lines[0]
    for fold in range(FOLDS):
        told, remedy = lines[1 + 2 * fold :][:2]
        assert f"3d_lowres/fold_{fold}/" in told
        assert f"validation cases of the fold as it is now: '{known[1 - fold]}'" in told
        command = remedy.removeprefix("error: ").split()
        assert command == ["autoseg_train", str(workspace), "3d_lowres", str(fold), "--overwrite"]
        assert train_command.main(command[1:]) == 0
    assert stages == {path: path.stat().st_mtime_ns for path in (workspace / "stages").rglob("*")}
    assert not (workspace / "runs/3d_cascade_fullres/fold_1").exists()
    assert train_command.main([str(workspace), "3d_cascade_fullres", "1"]) == 0
    # A score needs both stages not to know the case.
    workspace.joinpath("splits_final.json").write_text(before)
    with pytest.raises(InputError, match="has learnt from validation cases"):
        pipeline.validate(workspace, "3d_cascade_fullres", 1)


def test_an_interrupted_first_stage_is_named_with_the_command_that_goes_on(
    cascade, tmp_path, capsys
):
    workspace = shutil.copytree(cascade[1], tmp_path / "ws")
    Workspace(workspace).run("3d_lowres", 1).final.unlink()
    assert train_command.main([str(workspace), "3d_cascade_fullres", "1"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    remedy = last.removeprefix("error: ").split()
    assert remedy == ["autoseg_train", str(workspace), "3d_lowres", "1", "--resume"]
    assert train_command.main(remedy[1:]) == 0


def test_a_changed_image_is_predicted_again_for_the_second_stage(cascade, tmp_path):
    data = shutil.copytree(cascade[0], tmp_path / "data")
    workspace = shutil.copytree(cascade[1], tmp_path / "ws")
    dataset = planned.load_dataset(Workspace(workspace))
    place = str(cascade[0])
    cases = [
        replace(
            case,
            images=tuple(Path(str(path).replace(place, str(data))) for path in case.images),
            label=Path(str(case.label).replace(place, str(data))),
        )
        for case in dataset.cases
    ]
    serialise.save(replace(dataset, cases=tuple(cases), root=data), Workspace(workspace).dataset)
    train = [str(workspace), "3d_cascade_fullres", "0", "--overwrite"]
    assert train_command.main(train) == 0
    (folder,) = (workspace / "stages").iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.b2nd")}
    image = data / "imagesTr/case_02_0000.nii.gz"
    shutil.copy(data / "imagesTr/case_03_0000.nii.gz", image)
    assert train_command.main(train) == 0
    after = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.b2nd")}
    assert [name for name in after if after[name] != before[name]] == ["case_02.b2nd"]


def test_what_a_cascade_learns_from_is_what_it_gets_when_it_predicts(cascade):
    data, workspace = cascade
    place = Workspace(workspace)
    (folder,) = (workspace / "stages").iterdir()
    item = load_plan(place).configurations["3d_cascade_fullres"]
    final = place.run("3d_cascade_fullres", 0).final
    network = LoadedNetwork(load_models([final], same_fold=True)[0], Options(), {})
    summary = pipeline.validate(workspace, "3d_cascade_fullres", 0)
    for name in {score.case for score in summary.scores}:
        case = Case(identifier=name, images=(data / "imagesTr" / f"{name}_0000.nii.gz",))
        parts = {part.key: preprocess_case(case, part.configuration) for part in network.needed()}
        found = stage_input(item, network.previous, CaseWork(cases=parts))
        stored = StageStore(folder).read(name)
        assert stored.shape == (1, *parts[store_key(item)].image.shape[1:])
        assert (found == stored).mean() > 0.999


def test_a_second_stage_alone_names_what_it_needs(cascade, tmp_path):
    _, workspace = cascade
    lonely = tmp_path / "runs" / "3d_cascade_fullres" / "fold_0"
    lonely.mkdir(parents=True)
    for fold in range(FOLDS):
        pipeline.train(workspace, "3d_lowres", fold, resume=True)
    pipeline.train(workspace, "3d_cascade_fullres", 0, resume=True)
    final = Workspace(workspace).run("3d_cascade_fullres", 0).final
    shutil.copy(final, lonely / "checkpoint_final.pt")
    with pytest.raises(InputError, match="needs a finished model of 3d_lowres"):
        load_models([lonely / "checkpoint_final.pt"])


@pytest.fixture(scope="module")
def multipath(tmp_path_factory):
    """A workspace with a trained multi-path network."""
    root = tmp_path_factory.mktemp("multipath")
    data = write_dataset(root / "Dataset001_Tiny", num_cases=6, shape=(16, 20, 18))
    workspace = root / "ws"
    command = [str(data), "--workspace", str(workspace), "--configurations", "multipath_2.5d"]
    assert plan_command.main([*command, "--folds", "3", "--no-preprocess"]) == 0
    edit_plan(workspace, lambda made: {name: small(item) for name, item in made.items()})
    assert train_command.main([str(workspace), "multipath_2.5d", "0"]) == 0
    return data, workspace


def test_one_command_trains_nine_paths_and_their_fusion(multipath, tmp_path):
    data, workspace = multipath
    run = Workspace(workspace).run("multipath_2.5d", 0)
    item = load_plan(Workspace(workspace)).configurations["multipath_2.5d"]
    names = item.previous.names
    assert len(names) == 9
    assert all(run.path(name).final.is_file() for name in names)
    axes = {load_plan(Workspace(workspace)).configurations[name].slice_axis for name in names}
    assert axes == {0, 1, 2}
    summary = pipeline.validate(workspace, "multipath_2.5d", 0)
    assert len({score.case for score in summary.scores}) == 2
    arguments = [str(workspace), "-i", str(data / "imagesTr"), "-o", str(tmp_path / "out")]
    assert predict_command.main(arguments) == 0
    labels, _ = read_image(tmp_path / "out" / "case_00.nii.gz")
    assert labels.shape == (1, 16, 20, 18)
    assert set(np.unique(labels)) <= {0, 1, 2}


def test_paths_never_learn_the_cases_that_their_fusion_learns_from(multipath):
    _, workspace = multipath
    run = Workspace(workspace).run("multipath_2.5d", 0)
    (fusion,) = load_models([run.final])
    learnt = set(fusion.checkpoint.provenance.train_cases)
    validated = set(fusion.checkpoint.provenance.val_cases)
    assert learnt
    assert not learnt & validated
    for (path,) in fusion.previous:
        seen = set(path.checkpoint.provenance.train_cases)
        assert not seen & (learnt | validated)
        assert len(seen | learnt | validated) == 6


def test_a_multipath_training_does_not_go_on_with_other_cases(multipath, tmp_path, capsys):
    workspace = shutil.copytree(multipath[1], tmp_path / "ws")
    run = Workspace(workspace).run("multipath_2.5d", 0)
    run.final.unlink()
    run.last.unlink()
    # The cases of fold 0 stay; those that are held out from its paths change.
    path = Workspace(workspace).splits
    before = path.read_text()
    plain = json.loads(before)
    plain[1]["val"][0], plain[2]["val"][0] = plain[2]["val"][0], plain[1]["val"][0]
    for fold in (1, 2):
        everything = {*plain[0]["train"], *plain[0]["val"]}
        plain[fold]["train"] = sorted(everything - set(plain[fold]["val"]))
    path.write_text(json.dumps(plain))
    train = [str(workspace), "multipath_2.5d", "0", "--resume"]
    assert train_command.main(train) == 1
    error = capsys.readouterr().err
    assert "has learnt from cases that the fold does not train on now" in error
    assert f"autoseg_train {workspace} multipath_2.5d 0 --overwrite" in error
    assert not run.final.exists()
    path.write_text(before)
    assert train_command.main(train) == 0
    pipeline.validate(workspace, "multipath_2.5d", 0)
    exchange(workspace)
    with pytest.raises(InputError, match="has learnt from validation cases"):
        pipeline.validate(workspace, "multipath_2.5d", 0)


def test_two_folds_are_too_few_for_a_multipath_network(multipath, tmp_path, capsys):
    workspace = shutil.copytree(multipath[1], tmp_path / "ws")
    path = Workspace(workspace).splits
    first = json.loads(path.read_text())[0]
    path.write_text(json.dumps([first, {"train": first["val"], "val": first["train"]}]))
    train = [str(workspace), "multipath_2.5d", "1"]
    assert train_command.main(train) == 1
    assert "has 2 folds; a multi-path network needs three" in capsys.readouterr().err


def test_an_interrupted_multipath_training_keeps_its_finished_paths(multipath):
    _, workspace = multipath
    run = Workspace(workspace).run("multipath_2.5d", 0)
    item = load_plan(Workspace(workspace)).configurations["multipath_2.5d"]
    first, last = item.previous.names[0], item.previous.names[-1]
    before = run.path(first).final.stat().st_mtime_ns
    run.path(last).final.unlink()
    run.final.unlink()
    assert train_command.main([str(workspace), "multipath_2.5d", "0", "--resume"]) == 0
    assert run.path(first).final.stat().st_mtime_ns == before
    assert run.path(last).final.is_file()
    assert run.final.is_file()
