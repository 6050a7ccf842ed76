"""Which model files a path stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoseg.checkpoint import Checkpoint, Provenance, save_checkpoint
from autoseg.errors import InputError, UsageError
from autoseg.inference.models import find_models, load_models
from autoseg.schema.plan import PreviousStage
from tests.conftest import make_configuration

FINAL, BEST, LAST = "checkpoint_final.pt", "checkpoint_best.pt", "checkpoint_last.pt"


def put(folder: Path, *names: str, previous: str | None = None, fold: str = "0") -> Path:
    """Writes model files without weights."""
    stage = PreviousStage(names=(previous,), kind="labels") if previous else None
    provenance = Provenance(
        dataset="d",
        fold=fold,
        train_cases=("a",),
        val_cases=("b",),
        file_ending=".nii.gz",
        steps=1,
        val_dice=None,
    )
    model = Checkpoint(
        configuration=make_configuration(previous=stage), weights={}, provenance=provenance
    )
    for name in names:
        save_checkpoint(folder / name, model)
    return folder


def found(path: Path) -> list[str]:
    return [f"{item.parent.name}/{item.name}" for item in find_models(path)]


def test_all_finished_folds_of_a_configuration_or_a_workspace_are_averaged(tmp_path):
    for fold in (0, 1):
        put(tmp_path / f"runs/2d/fold_{fold}", FINAL, BEST, LAST)
    expected = [f"fold_0/{FINAL}", f"fold_1/{FINAL}"]
    assert found(tmp_path) == expected
    assert found(tmp_path / "runs/2d") == expected
    assert found(tmp_path / "runs/2d/fold_1") == expected[1:]
    assert found(tmp_path / f"runs/2d/fold_1/{BEST}") == [f"fold_1/{BEST}"]


def test_the_network_of_all_cases_counts_alone_or_where_it_is_named(tmp_path, caplog):
    caplog.set_level("INFO")
    everything = put(tmp_path / "runs/2d/fold_all", FINAL)
    assert found(tmp_path) == [f"fold_all/{FINAL}"]
    put(tmp_path / "runs/2d/fold_0", FINAL)
    for path in (tmp_path, tmp_path / "runs/2d"):
        caplog.clear()
        assert found(path) == [f"fold_0/{FINAL}"]
        assert "fold_all: left out beside the folds" in caplog.text
    assert found(everything) == [f"fold_all/{FINAL}"]


def test_an_interrupted_fold_is_left_out_and_said(tmp_path, caplog):
    put(tmp_path / "runs/2d/fold_0", FINAL)
    interrupted = put(tmp_path / "runs/2d/fold_1", BEST, LAST)
    assert found(tmp_path / "runs/2d") == [f"fold_0/{FINAL}"]
    assert f"{interrupted}: left out, its training was interrupted" in caplog.text
    caplog.clear()
    assert found(interrupted) == [f"fold_1/{BEST}"]
    assert f"{interrupted}: its training was interrupted; its best" in caplog.text


def test_interrupted_folds_alone_are_no_model(tmp_path):
    put(tmp_path / "runs/2d/fold_0", BEST, LAST)
    with pytest.raises(InputError, match="no trained model"):
        find_models(tmp_path)
    put(tmp_path / "runs/2d/fold_all", FINAL)
    assert found(tmp_path) == [f"fold_all/{FINAL}"]


def test_finished_models_of_several_configurations_must_be_named(tmp_path, caplog):
    put(tmp_path / "runs/2d/fold_0", FINAL)
    other = put(tmp_path / "runs/3d_fullres/fold_0", BEST)
    assert found(tmp_path) == [f"fold_0/{FINAL}"]
    assert str(other) in caplog.text
    put(other, FINAL)
    with pytest.raises(UsageError, match="models of several configurations. Name one: .*runs/2d"):
        find_models(tmp_path)


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(InputError, match="no trained model"):
        find_models(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        find_models(tmp_path / "nowhere")
    (tmp_path / "fold_0").mkdir()
    with pytest.raises(InputError, match="no trained model"):
        find_models(tmp_path / "fold_0")


def stage_files(model: Path) -> list[str]:
    (loaded,) = load_models([model])
    return [str(item.source.relative_to(model.parents[3])) for item in loaded.previous[0]]


def test_a_first_stage_is_its_finished_folds_too(tmp_path):
    second = put(tmp_path / "ws/runs/cascade/fold_0", FINAL, previous="low") / FINAL
    put(tmp_path / "ws/runs/low/fold_0", FINAL)
    put(tmp_path / "ws/runs/low/fold_1", BEST, LAST)
    put(tmp_path / "ws/runs/low/fold_all", FINAL)
    assert stage_files(second) == [f"runs/low/fold_0/{FINAL}"]
    (tmp_path / f"ws/runs/low/fold_0/{FINAL}").unlink()
    assert stage_files(second) == [f"runs/low/fold_all/{FINAL}"]
    (tmp_path / f"ws/runs/low/fold_all/{FINAL}").unlink()
    with pytest.raises(InputError, match="needs a finished model of low"):
        load_models([second])


def test_the_first_stage_for_validation_is_finished_and_of_the_same_fold(tmp_path):
    second = put(tmp_path / "runs/cascade/fold_1", FINAL, previous="low") / FINAL
    put(tmp_path / "runs/low/fold_0", FINAL)
    put(tmp_path / "runs/low/fold_1", BEST, LAST)
    with pytest.raises(InputError, match="needs a finished model of low"):
        load_models([second], same_fold=True)
    put(tmp_path / "runs/low/fold_1", FINAL)
    (model,) = load_models([second], same_fold=True)
    assert [item.source.parent.name for item in model.previous[0]] == ["fold_1"]


def test_an_imported_cascades_own_first_stage_comes_before_one_beside_it(tmp_path):
    second = put(tmp_path / "models/mine/fold_0", FINAL, previous="low") / FINAL
    put(tmp_path / "models/low/fold_0", FINAL)
    assert stage_files(second) == [f"models/low/fold_0/{FINAL}"]
    put(tmp_path / "models/mine/low/fold_0", FINAL)
    assert stage_files(second) == [f"models/mine/low/fold_0/{FINAL}"]


def test_a_model_says_what_all_its_stages_have_learnt(tmp_path):
    second = put(tmp_path / "runs/cascade/fold_0", FINAL, previous="low") / FINAL
    put(tmp_path / "runs/low/fold_0", FINAL)
    put(tmp_path / "runs/low/fold_1", FINAL, fold="1")
    (model,) = load_models([second])
    assert [made.fold for made in model.provenances()] == ["0", "0", "1"]
