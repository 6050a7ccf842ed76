"""Sheared images are read where right angles are near, and refused with the figure where not."""

from __future__ import annotations

import numpy as np
import pytest

from autoseg.errors import ImageError
from autoseg.images.files import read_image, write_labels
from tests.images.made import affine, turned, write_meta, write_nifti, write_nrrd

SHAPE = (201, 11, 11)


def sheared(shear: float) -> np.ndarray:
    """x leans towards y; 200 voxels further, y is 200 * shear * 1 mm off."""
    matrix = affine(spacing=(1.0, 1.0, 2.0), rotation=turned())
    matrix[:3, 0] += shear * matrix[:3, 1]
    return matrix


def nifti(path, matrix):
    return write_nifti(path.with_suffix(".nii.gz"), sform=matrix, shape=SHAPE)


def nrrd(path, matrix):
    columns = (matrix[:3, :3] * [[-1], [-1], [1]]).T
    steps = " ".join("(" + ",".join(map(repr, map(float, column))) + ")" for column in columns)
    sizes = " ".join(map(str, SHAPE))
    data = bytes(int(np.prod(SHAPE)))
    return write_nrrd(
        path.with_suffix(".nrrd"), data, sizes=sizes, space="LPS", space_directions=steps
    )


def meta(path, matrix):
    columns = (matrix[:3, :3] * [[-1], [-1], [1]]).T
    lengths = np.linalg.norm(columns, axis=1)
    return write_meta(
        path.with_suffix(".mha"),
        bytes(int(np.prod(SHAPE))),
        DimSize=" ".join(map(str, SHAPE)),
        TransformMatrix=" ".join(map(repr, map(float, (columns / lengths[:, None]).flat))),
        ElementSpacing=" ".join(map(repr, map(float, lengths))),
    )


WRITERS = {"nifti": nifti, "nrrd": nrrd, "meta": meta}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("shear", [1e-6, 1e-4, 9e-4, -9e-4])
def test_a_slight_shear_is_read_with_right_angles(tmp_path, write, shear):
    # The nearest right angles share the shear between both axes: 200 * shear / 2 voxels.
    matrix = sheared(shear)
    path = write(tmp_path / "a", matrix)
    _, geometry = read_image(path)
    directions = np.reshape(geometry.direction, (3, 3))
    assert np.allclose(directions.T @ directions, np.eye(3), atol=2e-6)
    stretched = directions * geometry.spacing_mm[::-1]
    expected = matrix[:3, :3] * [[-1], [-1], [1]]
    corner = np.array(SHAPE) - 1
    assert np.abs((stretched - expected) @ corner).max() < 0.1
    write_labels(tmp_path / "b.nrrd", np.ones(geometry.shape, np.uint8), geometry)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize(("shear", "figure"), [(0.002, "0.2"), (-0.002, "0.2"), (0.01, "1")])
def test_more_shear_is_refused_with_the_figure(tmp_path, write, shear, figure):
    path = write(tmp_path / "a", sheared(shear))
    with pytest.raises(
        ImageError, match=rf"right-angled grid is {figure} voxels off .*Resample image and labels"
    ):
        read_image(path)


def test_axes_that_run_along_each_other_are_refused(tmp_path):
    matrix = affine()
    matrix[:3, 1] = matrix[:3, 0]
    with pytest.raises(ImageError, match="right angles"):
        read_image(write_nifti(tmp_path / "a.nii.gz", sform=matrix))


def test_metaimage_directions_that_are_no_unit_vectors_stretch_the_image(tmp_path):
    path = write_meta(
        tmp_path / "a.mha", TransformMatrix="2 0 0 0 1 0 0 0 1", ElementSpacing="1 1 3"
    )
    _, geometry = read_image(path)
    assert geometry.spacing_mm == (3, 1, 2)
    assert geometry.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
