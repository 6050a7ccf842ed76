"""A label map is there as a whole or not at all."""

from __future__ import annotations

import os
import resource
import stat
import subprocess

import numpy as np
import pytest

from autoseg.errors import ImageError
from autoseg.images import writing
from autoseg.images.files import read_image, write_labels
from autoseg.images.nifti_header import LAYOUTS
from tests.images.made import write_itk

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
SHAPE = (40, 64, 64)


@pytest.fixture
def noise(tmp_path):
    """Labels that do not pack, and their geometry."""
    labels = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    return labels, read_image(write_itk(tmp_path / "image.mha", labels))[1]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_leaves_nothing_and_says_so(small_disk, noise, ending):
    with pytest.raises(ImageError, match=r"a\..*: cannot be written \(No space left on device\)"):
        write_labels(small_disk / f"a{ending}", *noise)
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_earlier_file_stays_where_a_new_one_does_not_fit(tmp_path, noise, ending):
    labels, geometry = noise
    folder = tmp_path / "out"
    write_labels(folder / f"a{ending}", np.ones_like(labels), geometry)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limit[1]))
    try:
        with pytest.raises(ImageError, match=r"cannot be written \(File too large\). Make room"):
            write_labels(folder / f"a{ending}", labels, geometry)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_killed_between_header_and_voxels_has_no_name(tmp_path, noise, ending, monkeypatch):
    def die(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing.os, "fsync", die)
    with pytest.raises(KeyboardInterrupt):
        write_labels(tmp_path / "out" / f"a{ending}", *noise)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_the_disk_keeps_only_a_part_of_gets_no_name(
    tmp_path, noise, ending, monkeypatch
):
    """Some network disks tell of a full disk only after the file was closed, or never."""
    flush = os.fsync

    def lose(descriptor):
        flush(descriptor)
        os.ftruncate(descriptor, 100)

    monkeypatch.setattr(writing.os, "fsync", lose)
    with pytest.raises(ImageError, match="the disk kept only a part"):
        write_labels(tmp_path / "out" / f"a{ending}", *noise)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha", ".mhd"])
def test_a_header_that_comes_back_otherwise_gets_no_name(tmp_path, noise, ending, monkeypatch):
    flush = os.fsync

    def spoil(descriptor):
        flush(descriptor)
        os.pwrite(descriptor, bytes(LAYOUTS[1].itemsize), 0)

    monkeypatch.setattr(writing.os, "fsync", spoil)
    with pytest.raises(ImageError):
        write_labels(tmp_path / "out" / f"a{ending}", *noise)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path, noise):
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match=r"a.nii.gz: cannot be written \(.*\)"):
        write_labels(tmp_path / "file" / "a.nii.gz", *noise)


def test_others_may_read_what_is_written(tmp_path, noise):
    mask = os.umask(0o022)
    try:
        write_labels(tmp_path / "a.nii.gz", *noise)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.nii.gz").stat().st_mode) == 0o644


def test_labels_of_another_shape_are_refused(tmp_path, noise):
    labels, geometry = noise
    with pytest.raises(ImageError, match=r"labels \(39, 64, 64\) for an image of \(40, 64, 64\)"):
        write_labels(tmp_path / "a.nii.gz", labels[1:], geometry)
