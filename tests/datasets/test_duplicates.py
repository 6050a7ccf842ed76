"""The same image twice: refused between patients, named within one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from autoseg.cli import umbrella
from autoseg.datasets.duplicates import find_duplicates
from autoseg.datasets.fingerprint import make_fingerprint
from autoseg.datasets.folder import read_dataset
from autoseg.schema.dataset import Case
from dataset_conversion import DatasetWriter
from tests.conftest import write_dataset
from tests.planning.made_up import made_up


def copy_image(root, source: str, target: str) -> None:
    """One case gets the image of another."""
    images = root / "imagesTr"
    shutil.copy(images / f"{source}_0000.nii.gz", images / f"{target}_0000.nii.gz")


@pytest.fixture
def repeated(tmp_path):
    """The first two of six cases have the same image."""
    root = write_dataset(tmp_path / "Dataset001_Tiny")
    copy_image(root, "case_00", "case_01")
    return root


def plan(root, tmp_path, *options: str) -> int:
    """Exit code of planning."""
    arguments = ["plan", str(root), "--workspace", str(tmp_path / "w"), "--no-preprocess"]
    return umbrella.main([*arguments, "--configurations", "2d", "--workers", "1", *options])


def test_an_image_of_two_patients_is_refused_with_the_remedy(repeated, tmp_path, capfd):
    assert plan(repeated, tmp_path, "--num-folds", "2") == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert "case_01_0000.nii.gz: duplicate case: the same voxels as case_00_0000.nii.gz" in line
    assert line.endswith("say so with --groups.")


def test_an_image_of_one_patient_is_named_and_learnt_from(repeated, tmp_path, capfd):
    table = tmp_path / "groups.csv"
    rows = ["p0", "p0", "p1", "p1", "p2", "p2"]
    lines = [f"case_{index:02d},{group}\n" for index, group in enumerate(rows)]
    table.write_text("case,group\n" + "".join(lines))
    assert plan(repeated, tmp_path, "--groups", str(table), "--num-folds", "2") == 0
    assert "duplicate case: the same voxels" in capfd.readouterr().err
    # The fingerprint is there already; other groups part the two cases.
    assert plan(repeated, tmp_path, "--group-pattern", r"\d+$", "--num-folds", "2") == 1
    assert "where both are of one patient" in capfd.readouterr().err


@pytest.mark.parametrize(("val", "code"), [((0, 1), 0), ((0, 2), 1)])
def test_given_folds_say_what_is_parted(repeated, tmp_path, val, code):
    names = [f"case_{index:02d}" for index in range(6)]
    first = [names[index] for index in val]
    rest = [name for name in names if name not in first]
    folds = [{"train": rest, "val": first}, {"train": first, "val": rest}]
    (repeated / "splits_final.json").write_text(json.dumps(folds))
    assert plan(repeated, tmp_path) == code


def test_frames_of_a_patient_are_known_by_their_names(repeated):
    for number, name in enumerate(("p1_frame1", "p1_frame2", "p2_frame1", "p3_frame1")):
        for folder, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
            path = repeated / folder / f"case_{number:02d}{ending}"
            path.rename(path.with_name(f"{name}{ending}"))
    fingerprint = make_fingerprint(read_dataset(repeated)[0], workers=1)
    assert any("p1_frame2_0000.nii.gz: duplicate" in note for note in fingerprint.warnings)


def test_images_of_one_value_are_no_duplicates(tmp_path):
    writer = DatasetWriter(tmp_path / "d", channel_names=["MRI"], labels={"background": 0, "a": 1})
    rng = np.random.default_rng(0)
    labels = np.ones((4, 8, 8), np.uint8)
    for name, value in (("a", 0), ("b", 0), ("c", 7), ("d", 7)):
        writer.add(name, [np.full((4, 8, 8), value, np.int16)], 0 * labels)
    writer.add("e", [rng.normal(size=(4, 8, 8)).astype(np.float32)], labels)
    writer.finish()
    fingerprint = make_fingerprint(read_dataset(tmp_path / "d")[0], workers=1)
    told = [note for note in fingerprint.warnings if "the same value everywhere" in note]
    assert len(told) == 4
    assert not [note for note in fingerprint.warnings if "duplicate" in note]


def test_a_third_copy_is_named_too():
    _, fingerprint = made_up(cases=3)
    records = dict.fromkeys("abc", next(iter(fingerprint.cases.values())))
    cases = [Case(identifier=name, images=(Path(name),)) for name in "abc"]
    faults, notes = find_duplicates(cases, records, {"a": 1, "b": 2, "c": 2})
    assert [fault.split(":")[0] for fault in faults] == ["b"]
    assert [note.split(":")[0] for note in notes] == ["c"]
