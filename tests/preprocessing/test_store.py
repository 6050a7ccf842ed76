from __future__ import annotations

import os
from dataclasses import replace

import blosc2
import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.datasets.folder import read_dataset
from autoseg.errors import InputError
from autoseg.preprocessing import store as module
from autoseg.preprocessing.case import preprocess_case
from autoseg.preprocessing.store import Store, preprocess_cases, store_key
from autoseg.schema.dataset import Case
from autoseg.schema.labels import LabelClass, LabelScheme
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
        assert (found.labels[(0, *voxels)] == index).all()
        assert len(voxels[0]) == (found.labels == index).sum()


def test_large_cases_stay_on_disk_and_read_the_same(tmp_path, cases, configuration, monkeypatch):
    folder = tmp_path / "store"
    preprocess_cases(cases[:1], {folder: configuration}, workers=1)
    kept = Store(folder).read(cases[0].identifier)
    monkeypatch.setattr(module, "SMALL_BYTES", 0)
    on_disk = Store(folder).read(cases[0].identifier)
    part = (slice(None), slice(2, 9), slice(3, 5), slice(0, 20))
    assert not isinstance(on_disk.image, np.ndarray)
    assert (on_disk.image[part] == kept.image[part]).all()
    assert (on_disk.labels[part] == kept.labels[part]).all()


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


def outlined(folder, maps, *, shape=(8, 10, 9)):
    """A case with one label map per rater."""
    image = np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)
    paths = {}
    for name, array in {"image": image, **maps}.items():
        paths[name] = folder / f"{name}.nii.gz"
        item = sitk.GetImageFromArray(array)
        item.SetSpacing((1.0, 1.0, 1.5))
        sitk.WriteImage(item, str(paths[name]))
    return Case(
        identifier="a", images=(paths.pop("image"),), label=paths.pop("label", None), raters=paths
    )


def box(low, high, value=1, *, shape=(8, 10, 9)):
    array = np.zeros(shape, dtype=np.uint8)
    array[low:high, 2:8, 2:7] = value
    return array


@pytest.fixture(params=["in memory", "on disk"])
def anywhere(request, monkeypatch):
    """Small cases are kept in memory, large ones read from disk."""
    if request.param == "on disk":
        monkeypatch.setattr(module, "SMALL_BYTES", 0)


@pytest.mark.usefixtures("anywhere")
def test_every_rater_is_stored_with_a_name(tmp_path, configuration):
    maps = {"r1": box(2, 6), "r3": box(3, 7, 2), "r2": box(1, 6)}
    store = Store(tmp_path / "s")
    store.write(outlined(tmp_path, maps), configuration)
    found = store.read("a")
    assert found.raters == store.raters("a") == ("r1", "r3", "r2")
    assert found.labels.shape == (3, *found.shape)
    for index, expected in enumerate(maps.values()):
        assert (found.labels[index] == expected).all()
    part = (slice(None), slice(2, 4), slice(0, 5), slice(3, 9))
    assert (found.labels[part] == np.stack([*maps.values()])[part]).all()


def test_voxels_of_a_class_are_those_that_most_raters_gave_to_it(tmp_path, configuration):
    maps = {"r1": box(2, 6), "r2": box(3, 7), "r3": box(7, 8, 2)}
    store = Store(tmp_path / "s")
    store.write(outlined(tmp_path, maps), configuration)
    locations = store.read("a").locations
    # Planes 3 to 5 have two votes of three; the second label has one at most.
    assert set(locations) == {"organ"}
    assert set(locations["organ"][:, 0].tolist()) == {3, 4, 5}


def test_how_many_raters_there_are_differs_between_cases(tmp_path, configuration):
    store = Store(tmp_path / "s")
    for name, raters in (("a", 2), ("b", 1)):
        (tmp_path / name).mkdir()
        maps = {f"r{index}": box(2, 6) for index in range(1, 1 + raters)}
        case = replace(outlined(tmp_path / name, maps), identifier=name)
        store.write(case, configuration)
    assert (len(store.read("a").labels), store.raters("a")) == (2, ("r1", "r2"))
    assert (len(store.read("b").labels), store.raters("b")) == (1, ("r1",))


def test_raters_are_resampled_one_by_one(tmp_path, configuration):
    maps = {"r1": box(2, 6), "r2": box(3, 7, 2)}
    coarse = replace(configuration, spacing_mm=(3.0, 2.0, 2.0))
    both, alone = Store(tmp_path / "both"), Store(tmp_path / "alone")
    both.write(outlined(tmp_path, maps), coarse)
    for index, name in enumerate(maps):
        alone.write(outlined(tmp_path, {name: maps[name]}), coarse)
        assert (both.read("a").labels[index] == alone.read("a").labels[0]).all()
        alone = Store(tmp_path / "alone")


@pytest.mark.usefixtures("anywhere")
def test_a_case_that_nobody_labelled_is_stored(tmp_path, configuration):
    store = Store(tmp_path / "s")
    case = outlined(tmp_path, {})
    store.write(case, configuration)
    assert store.is_complete(case)
    found = store.read("a")
    assert found.labels is None
    assert (found.locations, found.annotated, found.raters) == ({}, None, ())
    assert (store.raters("a"), store.classes("a")) == ((), ())
    assert found.image.shape == (1, *found.shape) == (1, 8, 10, 9)


def test_a_case_whose_label_map_is_gone_is_an_error_and_not_unlabelled(tmp_path, configuration):
    store = Store(tmp_path / "s")
    store.write(outlined(tmp_path, {"label": box(2, 6)}), configuration)
    (tmp_path / "s" / "a.labels.b2nd").unlink()
    with pytest.raises(InputError, match="not preprocessed .*autoseg_plan"):
        store.read("a")


def test_one_label_map_takes_the_place_that_it_took_before(tmp_path, configuration):
    store = Store(tmp_path / "s")
    store.write(outlined(tmp_path, {"label": box(2, 6)}), configuration)
    with np.load(tmp_path / "s" / "a.foreground.npz") as archive:
        assert set(archive.files) == {"names", "voxels_0"}
    assert blosc2.open(str(tmp_path / "s" / "a.labels.b2nd")).shape == (1, 8, 10, 9)


@pytest.mark.usefixtures("anywhere")
def test_voxels_that_somebody_labelled_are_no_class(tmp_path, configuration):
    classes = (LabelClass(name="annotated", values=(1,)),)
    scheme = LabelScheme(classes=classes, ignore=2)
    labels = np.full((8, 10, 9), 2, dtype=np.uint8)
    labels[0, 0] = 0
    labels[1, 1, :3] = 1
    store = Store(tmp_path / "s")
    store.write(outlined(tmp_path, {"label": labels}), replace(configuration, labels=scheme))
    found = store.read("a")
    assert found.locations["annotated"].tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 2]]
    assert len(found.annotated) == 9 + 3
    assert store.classes("a") == ("annotated",)


def test_the_key_changes_with_the_format(configuration, monkeypatch):
    key = store_key(configuration)
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    assert store_key(configuration) != key
