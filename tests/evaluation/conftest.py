"""Small folders of label maps, and the official programs' values."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.special import softmax

import evaluation
from tests.conftest import shared_folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the golden values."""
    folder = shared_folder("golden")
    if folder is None:
        pytest.skip("no golden values beside the real data")
    return folder


def write(path, array, spacing=(1, 1, 1), direction=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[: array.ndim])
    if direction:
        image.SetDirection(direction)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(4):
        labels = rng.integers(0, 3, (4, 6, 5)).astype(np.uint8)
        write(tmp_path / f"ref/c{index}.nii.gz", labels, (1, 2, 3))
        write(
            tmp_path / f"pred/c{index}.nii.gz",
            np.where(rng.random(labels.shape) < 0.8, labels, 0),
            (1, 2, 3),
        )
    return tmp_path


@pytest.fixture
def made():
    """Probabilities of three channels, and labels that they mostly find."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (3, 8, 12, 10))
    labels = rng.integers(0, 3, (8, 12, 10)).astype(np.uint8)
    for channel in range(3):
        logits[channel][labels == channel] += 1
    return softmax(logits, axis=0).astype(np.float32), labels


@pytest.fixture
def raters():
    """Three masks of one structure, each with noise of its own."""
    rng = np.random.default_rng(1)
    truth = np.zeros((6, 20, 20), dtype=bool)
    truth[2:5, 5:14, 6:15] = True
    noise = rng.random((3, *truth.shape))
    return [truth ^ (part < 0.03 * (index + 1)) for index, part in enumerate(noise)]


def ball(shape, centre, radius):
    grid = np.indices(shape)
    return sum((axis - at) ** 2 for axis, at in zip(grid, centre, strict=True)) <= radius**2


@pytest.fixture
def kidneys(tmp_path):
    """Three cases, and a good and a poor method."""
    for index in range(3):
        labels = np.zeros((10, 24, 24), np.uint8)
        labels[ball(labels.shape, (5, 11, 11), 8)] = 1
        labels[ball(labels.shape, (5, 11, 13 + index), 3)] = 2
        labels[ball(labels.shape, (5, 6, 8), 2)] = 3
        for name, shift in (("ref", 0), ("good", 1), ("poor", 3)):
            write(tmp_path / name / f"case_{index}.nii.gz", np.roll(labels, shift, 2), (1, 1, 2))
    return tmp_path


def save(folder, case, values):
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / f"{case}.npz", probabilities=values.astype(np.float32))


@pytest.fixture
def organs(tmp_path):
    """One CT case with three raters, who disagree, and soft predictions."""
    shape = (6, 30, 30)
    base = np.zeros(shape, np.uint8)
    for value, centre in ((1, (3, 8, 8)), (2, (3, 20, 8)), (3, (3, 15, 20))):
        base[ball(shape, centre, 5)] = value
    raters = [np.roll(base, shift, 1) for shift in (0, 1, 2)]
    for index, labels in enumerate(raters, 1):
        write(tmp_path / f"r{index}/a.nii.gz", labels)
    image = np.full(shape, -1000, np.int16)
    image[:, 2:28, 1:29] = 50
    write(tmp_path / "images/a.nii.gz", image)
    write(tmp_path / "pred/a.nii.gz", raters[1])
    soft = np.mean([[labels == value for value in (1, 2, 3)] for labels in raters], axis=0)
    save(tmp_path / "p", "a", soft)
    return tmp_path


def sitk_labels(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def call(name, *arrays, **settings):
    """A metric's function with those of the settings that it takes."""
    function = getattr(evaluation, name)
    known = inspect.signature(function).parameters
    return function(*arrays, **{key: value for key, value in settings.items() if key in known})
