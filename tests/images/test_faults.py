"""What is wrong or odd in an image is found in one place, for planning and prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoseg.images.faults import image_faults, image_warnings
from autoseg.schema.geometry import Geometry

PATH = Path("a.nii.gz")
GEOMETRY = Geometry(
    shape=(3, 4, 5),
    spacing_mm=(1.0, 1.0, 1.0),
    origin_mm=(0.0, 0.0, 0.0),
    direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
)


def image(channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(channels, 3, 4, 5)).astype(np.float32)


def test_a_good_image_has_no_faults():
    assert image_faults(image(), GEOMETRY, PATH) == []
    assert image_warnings(image(), GEOMETRY, PATH) == []
    assert image_faults(image().astype(np.int16), GEOMETRY, PATH) == []


def test_every_fault_is_listed_with_its_file():
    array = image(2)
    array[1, 0, 0, 0], array[0, 2, 3, :3] = np.nan, np.inf
    geometry = replace(GEOMETRY, spacing_mm=(1.0, 0.0, 1.0))
    assert image_faults(array, geometry, PATH) == [
        "a.nii.gz: holds NaN or infinity in 4 voxels. Replace them.",
        "a.nii.gz: spacing (1, 0, 1) mm is not positive and finite. Correct it.",
    ]


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_spacings_that_are_none_are_found_in_images_from_memory_too(value):
    geometry = replace(GEOMETRY, spacing_mm=(value, 1.0, 1.0))
    assert len(image_faults(image(), geometry, PATH)) == 1


def test_empty_and_complex_images_are_refused():
    assert "no voxels" in image_faults(np.zeros((1, 0, 4, 5)), GEOMETRY, PATH)[0]
    assert "complex" in image_faults(image().astype(np.complex64), GEOMETRY, PATH)[0]


def test_channels_with_one_value_are_named():
    array = image(3)
    array[1] = 7
    assert "channel 1: the same value" in image_warnings(array, GEOMETRY, PATH)[0]
    array[:] = 0
    assert "all voxels: the same value" in image_warnings(array, GEOMETRY, PATH)[0]
