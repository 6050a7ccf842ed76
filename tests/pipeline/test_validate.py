"""What validation keeps from an earlier time is what it would make now."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg import pipeline, planned
from autoseg.datasets.folder import read_dataset
from autoseg.images.files import read_image
from autoseg.pipeline.validate import references
from autoseg.schema import serialise
from autoseg.schema.dataset import Case, Dataset
from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.workspace import Workspace
from dataset_conversion import DatasetWriter
from tests.conftest import write_dataset
from tests.pipeline.test_previous_stages import edit_plan, small


def write(path: Path, values) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(np.array(values, dtype=np.uint8)[None]), str(path))
    return path


@pytest.fixture
def rated(tmp_path):
    """A case with three raters of two rows of two voxels."""
    maps = {"r1": [[1, 1], [0, 0]], "r2": [[1, 0], [0, 0]], "r3": [[0, 1], [0, 2]]}
    case = Case(
        identifier="a",
        images=(write(tmp_path / "image.nii.gz", [[5, 5], [5, 5]]),),
        raters={name: write(tmp_path / name / "a.nii.gz", item) for name, item in maps.items()},
    )
    classes = tuple(LabelClass(name=str(value), values=(value,)) for value in (1, 2))
    return Dataset(
        name="d",
        root=tmp_path,
        channel_names=("CT",),
        labels=LabelScheme(classes=classes),
        file_ending=".nii.gz",
        cases=(case,),
        raters=tuple(maps),
    )


def reference(tmp_path, dataset):
    """The reference of its only case: (voxels, when it was written)."""
    cases = {case.identifier: case for case in dataset.cases}
    path = references(Workspace(tmp_path / "ws"), dataset, cases)["a"]
    return read_image(path)[0].squeeze().tolist(), path.stat().st_mtime_ns


def test_a_majority_is_made_again_where_a_raters_file_has_changed(tmp_path, rated):
    first, when = reference(tmp_path, rated)
    assert first == [[1, 1], [0, 0]]
    assert reference(tmp_path, rated) == (first, when)
    write(tmp_path / "r2/a.nii.gz", [[1, 0], [0, 2]])
    assert reference(tmp_path, rated)[0] == [[1, 1], [0, 2]]


def test_a_majority_is_made_again_for_other_raters_and_other_labels(tmp_path, rated):
    assert reference(tmp_path, rated)[0] == [[1, 1], [0, 0]]
    raters = dict(rated.cases[0].raters)
    two = {name: raters[name] for name in ("r2", "r3")}
    fewer = replace(rated, cases=(replace(rated.cases[0], raters=two),))
    assert reference(tmp_path, fewer)[0] == [[1, 1], [0, 2]]  # a tie goes to the foreground
    whole = LabelScheme(
        classes=(
            LabelClass(name="any", values=(1, 2)),
            LabelClass(name="2", values=(2,)),
        ),
        regions_order=(1, 2),
    )
    _, before = reference(tmp_path, fewer)
    assert reference(tmp_path, replace(fewer, labels=whole))[1] > before


def test_predictions_of_changed_images_are_made_again(tmp_path):
    data = write_dataset(tmp_path / "Dataset001_Tiny", num_cases=6)
    pipeline.plan(
        data, tmp_path / "ws", configurations=["3d_fullres"], num_folds=2, preprocess=False
    )
    edit_plan(tmp_path / "ws", lambda made: {name: small(item) for name, item in made.items()})
    pipeline.train(tmp_path / "ws", "3d_fullres", 0)
    place = Workspace(tmp_path / "ws")
    val = planned.load_fold(place, planned.load_dataset(place), 0).val
    folder = place.run("3d_fullres", 0).validation

    def times():
        pipeline.validate(tmp_path / "ws", "3d_fullres", 0)
        return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.nii.gz")}

    before = times()
    assert set(before) == {f"{name}.nii.gz" for name in val}
    shutil.copy(folder / f"{val[0]}.nii.gz", folder / "somebody_else.nii.gz")
    assert times() == before
    other = planned.load_fold(place, planned.load_dataset(place), 0).train[0]
    shutil.copy(data / f"imagesTr/{other}_0000.nii.gz", data / f"imagesTr/{val[1]}_0000.nii.gz")
    after = times()
    assert [name for name in after if after[name] != before[name]] == [f"{val[1]}.nii.gz"]
    # A label map that was corrected changes scores, not predictions.
    shutil.copy(data / f"labelsTr/{other}.nii.gz", data / f"labelsTr/{val[1]}.nii.gz")
    assert times() == after


def test_the_mark_of_an_earlier_version_only_costs_predicting_again(tmp_path):
    data = write_dataset(tmp_path / "Dataset001_Tiny", num_cases=4)
    pipeline.plan(
        data, tmp_path / "ws", configurations=["3d_fullres"], num_folds=2, preprocess=False
    )
    edit_plan(tmp_path / "ws", lambda made: {name: small(item) for name, item in made.items()})
    pipeline.train(tmp_path / "ws", "3d_fullres", 0)
    folder = Workspace(tmp_path / "ws").run("3d_fullres", 0).validation
    folder.mkdir()
    serialise.write_text(folder / "model.json", '[["checkpoint_final.pt", 1, 2]]')
    pipeline.validate(tmp_path / "ws", "3d_fullres", 0)
    assert len(list(folder.glob("*.nii.gz"))) == 2


def test_what_all_raters_ignored_is_ignored_in_their_reference(tmp_path):
    writer = DatasetWriter(
        tmp_path / "Dataset001_Ignored",
        channel_names=["MRI"],
        labels={"background": 0, "organ": 1, "vessel": 5, "ignore": 9},
        raters=["a", "b", "c"],
    )
    rows = {"a": [9, 9, 5, 0, 9], "b": [9, 1, 5, 0, 0], "c": [9, 9, 1, 1, 1]}
    maps = {name: np.array([[row]], dtype=np.uint8) for name, row in rows.items()}
    writer.add("case", [np.ones((1, 1, 5), np.float32)], raters=maps)
    writer.finish()
    dataset = read_dataset(writer.root)[0]
    found = references(Workspace(tmp_path / "ws"), dataset, {"case": dataset.cases[0]})
    assert read_image(found["case"])[0].ravel().tolist() == [9, 1, 5, 0, 1]
