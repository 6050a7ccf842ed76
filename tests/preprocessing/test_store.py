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


def test_what_is_stored_is_the_same_for_every_seed_that_shares_the_folder(
    tmp_path, cases, configuration, monkeypatch
):
    monkeypatch.setattr("autoseg.preprocessing.foreground.MAX_LOCATIONS", 20)
    found = []
    for seed in (0, 1):
        other = replace(configuration, seed=seed)
        assert store_key(other) == store_key(configuration)
        preprocess_cases(cases[:1], {tmp_path / str(seed): other}, workers=1)
        found.append(Store(tmp_path / str(seed)).read(cases[0].identifier).locations)
    assert found[0].keys() == found[1].keys()
    for name in found[0]:
        assert (found[0][name] == found[1][name]).all()


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
