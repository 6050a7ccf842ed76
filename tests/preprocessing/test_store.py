from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from autoseg.datasets.folder import read_dataset
from autoseg.errors import InputError
from autoseg.preprocessing import store as module
from autoseg.preprocessing.case import preprocess_case
from autoseg.preprocessing.store import Store, preprocess_cases, store_key
from dataset_conversion import DatasetWriter
from dataset_conversion.synthetic import synthetic_case


@pytest.fixture
def cases(tiny_dataset):
    return read_dataset(tiny_dataset)[0].cases


def test_a_stored_case_is_what_was_preprocessed(tmp_path, cases, configuration):
    folder = tmp_path / "store"
    preprocess_cases(cases, {folder: configuration}, workers=2)
    expected = preprocess_case(cases[0], configuration)
    found = Store(folder).read(cases[0].identifier)
    assert (found.image == expected.image).all()
    assert (found.labels == expected.labels).all()
    assert Store(folder).trace(cases[0].identifier) == expected.trace
    for name, index in (("organ", 1), ("vessel", 2)):
        voxels = tuple(found.locations[name].T)
        assert (found.labels[voxels] == index).all()
        assert len(voxels[0]) == (found.labels == index).sum()


def test_large_cases_stay_on_disk_and_read_the_same(tmp_path, cases, configuration, monkeypatch):
    folder = tmp_path / "store"
    preprocess_cases(cases[:1], {folder: configuration}, workers=1)
    kept = Store(folder).read(cases[0].identifier)
    monkeypatch.setattr(module, "SMALL_BYTES", 0)
    on_disk = Store(folder).read(cases[0].identifier)
    box = (slice(2, 9), slice(3, 5), slice(0, 20))
    assert not isinstance(on_disk.image, np.ndarray)
    assert (on_disk.image[(slice(None), *box)] == kept.image[(slice(None), *box)]).all()
    assert (on_disk.labels[box] == kept.labels[box]).all()


def test_finished_cases_are_not_done_again(tmp_path, cases, configuration):
    folder = tmp_path / "store"
    assert preprocess_cases(cases[:2], {folder: configuration}, workers=1) == 2
    assert preprocess_cases(cases, {folder: configuration}, workers=1) == 4
    assert preprocess_cases(cases, {folder: configuration}, workers=1) == 0


def test_a_case_that_was_interrupted_or_changed_is_done_again(tmp_path, cases, configuration):
    folder = tmp_path / "store"
    preprocess_cases(cases, {folder: configuration}, workers=1)
    (folder / f"{cases[0].identifier}.json").unlink()
    (folder / ".partial-rest").write_text("x")
    os.utime(folder / ".partial-rest", (1, 1))
    (folder / ".partial-new").write_text("x")  # another process may be writing it
    os.utime(cases[1].images[0], (1, 1))
    assert preprocess_cases(cases, {folder: configuration}, workers=1) == 2
    assert [path.name for path in folder.glob(".partial-*")] == [".partial-new"]


def test_the_key_changes_with_what_changes_the_voxels(configuration):
    key = store_key(configuration)
    assert store_key(replace(configuration, patch_size=(8, 8, 8), batch_size=9)) == key
    assert store_key(replace(configuration, spacing_mm=(1.0, 1.0, 1.0))) != key
    assert store_key(replace(configuration, transpose=(1, 0, 2))) != key


def test_slices_that_keep_their_distance_share_the_voxels_of_volumes(tmp_path, configuration):
    writer = DatasetWriter(
        tmp_path / "Dataset001_Two", channel_names=["MRI"], labels={"background": 0, "organ": 1}
    )
    for name, thickness_mm in (("as_planned", 1.5), ("thicker", 3.0)):
        image, labels = synthetic_case(np.random.default_rng(0), (16, 24, 20))
        writer.add(name, [image], labels.clip(max=1), spacing_mm=(thickness_mm, 1, 1))
    writer.finish()
    cases = read_dataset(tmp_path / "Dataset001_Two")[0].cases
    volumes, slices = tmp_path / "volumes", tmp_path / "slices"
    targets = {
        volumes: configuration,
        slices: replace(configuration, spacing_mm=(None, 1.0, 1.0)),
    }
    assert preprocess_cases(cases, targets, workers=1) == 2
    for name, shared in (("as_planned", True), ("thicker", False)):
        for kind in ("image.b2nd", "labels.b2nd", "foreground.npz", "json"):
            first, second = volumes / f"{name}.{kind}", slices / f"{name}.{kind}"
            assert first.samefile(second) == shared
    assert Store(slices).read("thicker").shape == (16, 24, 20)
    assert Store(volumes).read("thicker").shape == (32, 24, 20)
    assert preprocess_cases(cases, targets, workers=1) == 0


def test_cases_are_copied_where_there_are_no_links(tmp_path, cases, configuration, monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr(module.os, "link", refuse)
    slices = replace(configuration, spacing_mm=(None, 1.0, 1.0))
    preprocess_cases(cases[:1], {tmp_path / "a": configuration, tmp_path / "b": slices}, workers=1)
    first, second = (Store(tmp_path / name).read(cases[0].identifier) for name in "ab")
    assert (first.image == second.image).all()
    assert (first.labels == second.labels).all()


def test_a_case_that_is_not_there_names_the_remedy(tmp_path):
    with pytest.raises(InputError, match="not preprocessed .*autoseg_plan"):
        Store(tmp_path).read("nobody")
    with pytest.raises(InputError, match="not preprocessed"):
        Store(tmp_path).trace("nobody")


def test_all_failing_cases_are_named_and_the_others_done(tmp_path, cases, configuration):
    cases[1].images[0].write_bytes(b"no image")
    cases[4].images[0].write_bytes(b"no image")
    folder = tmp_path / "store"
    with pytest.raises(InputError) as caught:
        preprocess_cases(cases, {folder: configuration}, workers=2)
    assert str(caught.value).count("cannot be read") == 2
    assert len(list(folder.glob("*.json"))) == 4
