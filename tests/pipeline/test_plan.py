"""What options of planning reach: the mirroring test, later plans, the cache of a training."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from autoseg import pipeline, planned
from autoseg.datasets.folds import Fold
from autoseg.pipeline import fit as fitting
from autoseg.planning.replan import plan_again
from autoseg.schema import serialise
from autoseg.workspace import Workspace
from dataset_conversion import DatasetWriter

PATIENTS = "abcd"


def write_ordered(root):
    """Four scans of each of four patients; one label lies left of the other in all of them."""
    writer = DatasetWriter(root, channel_names=["MRI"], labels={"background": 0, "l": 1, "r": 2})
    rng = np.random.default_rng(0)
    for patient in PATIENTS:
        for scan in "wxyz":
            labels = np.zeros((8, 24, 24), np.uint8)
            for value, left in ((1, 3), (2, 15)):
                front, top = rng.integers(0, 18), rng.integers(0, 4)
                labels[top : top + 4, front : front + 5, left : left + 5] = value
            image = labels + rng.normal(0, 0.3, labels.shape)
            writer.add(f"{patient}{scan}", [image.astype(np.float32)], labels)
    writer.finish()
    return root


@pytest.fixture(scope="module")
def ordered(tmp_path_factory):
    return write_ordered(tmp_path_factory.mktemp("ordered") / "Dataset001_Ordered")


def plan(data, workspace, **options):
    return pipeline.plan(
        data,
        workspace,
        configurations=("3d_fullres",),
        device="cpu",
        workers=1,
        preprocess=False,
        time_budget="5s",
        **options,
    )


def mirrors_x(configuration):
    return 2 in configuration.training.mirror_axes


def test_scans_of_one_patient_are_one_patient_for_the_mirroring_test(ordered, tmp_path):
    table = tmp_path / "groups.csv"
    rows = [f"{patient}{scan},{patient}" for patient in PATIENTS for scan in "wxyz"]
    table.write_text("\n".join(["case,group", *rows]))
    assert not mirrors_x(plan(ordered, tmp_path / "each").configurations["3d_fullres"])
    workspace = Workspace(tmp_path / "grouped")
    made = plan(ordered, workspace.root, groups=str(table))
    assert mirrors_x(made.configurations["3d_fullres"])
    again = plan_again(workspace, made, "3d_fullres", "cpu", "6s")
    assert mirrors_x(again["3d_fullres"])
    table.unlink()  # the workspace remembers the patients
    later = plan(ordered, workspace.root)
    assert mirrors_x(later.configurations["3d_fullres"])


def test_given_folds_and_a_pattern_tell_the_patients_too(ordered, tmp_path):
    cases = [f"{patient}{scan}" for patient in PATIENTS for scan in "wxyz"]
    folds = [{"train": cases[8:], "val": cases[:8]}, {"train": cases[:8], "val": cases[8:]}]
    copy = tmp_path / "copy" / ordered.name
    write_ordered(copy)
    (copy / "splits_final.json").write_text(json.dumps(folds))
    workspace = Workspace(tmp_path / "ws")
    made = plan(copy, workspace.root, group_pattern="^(.)")
    assert mirrors_x(made.configurations["3d_fullres"])
    found = planned.load_folds(workspace, planned.load_dataset(workspace))
    assert found[0] == Fold(train=tuple(cases[8:]), val=tuple(cases[:8]))
    assert set(planned.load_groups(workspace).values()) == set(PATIENTS)


def test_a_training_keeps_as_many_cases_in_memory_as_its_plan_says(ordered, tmp_path, monkeypatch):
    seen = []

    class StoppedError(RuntimeError):
        """Ends the command where the training would begin."""

    def stop(task, **_):
        seen.append(task)
        raise StoppedError

    workspace = Workspace(tmp_path / "ws")
    made = plan(ordered, workspace.root)
    configuration = replace(made.configurations["3d_fullres"], cache_bytes=12345)
    serialise.save(replace(made, configurations={"3d_fullres": configuration}), workspace.plan)
    monkeypatch.setattr(fitting, "Trainer", stop)
    with pytest.raises(StoppedError):
        pipeline.train(workspace.root, "3d_fullres", 0, epochs=1, device="cpu")
    assert seen[0].store.cache_bytes == 12345
