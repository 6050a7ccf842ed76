"""Small folders of label maps, and the official programs' values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.special import softmax

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
