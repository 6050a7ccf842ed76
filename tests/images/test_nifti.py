"""A label map lies on its image in every program: what nibabel computes for both is the same."""

from __future__ import annotations

import gzip
import logging

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.errors import ImageError
from autoseg.images.faults import grid_differences, image_warnings
from autoseg.images.files import read_image, write_labels
from tests.images.made import PIXDIM, affine, edit, turned, voxels, write_itk, write_nifti

A = affine(rotation=turned())
B = affine(origin=(10.0, -5.0, 3.0))
MIRRORED = affine(rotation=np.diag([-1, 1, 1]) @ turned(35))
SHEARED = A @ np.array([[1, 2e-4, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
CORONAL = affine(rotation=np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]))
SAGITTAL = affine(rotation=np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]))


def negative_pixdim(path, **forms):
    version = forms.get("version", 1)
    write_nifti(path, **forms)
    offset, kind = PIXDIM[version]
    edit(path, offset + (4 if kind == "f" else 8), "<" + kind, -1.5)


def scaled_sform(path):
    write_nifti(path, sform=affine(spacing=(3.0, 4.0, 6.0), rotation=turned()), qform=A)


def in_units(code):
    def make(path):
        write_nifti(path, sform=A, qform=A)
        edit(path, 123, "B", code)

    return make


HEADERS = {
    "both forms": lambda path: write_nifti(path, sform=A, qform=A),
    "forms differ": lambda path: write_nifti(path, sform=A, qform=B),
    "sform only": lambda path: write_nifti(path, sform=A),
    "qform only": lambda path: write_nifti(path, qform=A),
    "no form": write_nifti,
    "mirrored": lambda path: write_nifti(path, sform=MIRRORED, qform=MIRRORED),
    "mirrored qform": lambda path: write_nifti(path, qform=MIRRORED),
    "scaled sform": scaled_sform,
    "sheared sform": lambda path: write_nifti(path, sform=SHEARED),
    "negative pixdim": lambda path: negative_pixdim(path, sform=A, qform=A),
    "negative pixdim, qform": lambda path: negative_pixdim(path, qform=A),
    "negative pixdim, no form": negative_pixdim,
    "unknown sform code": lambda path: (
        write_nifti(path, sform=A, qform=B),
        edit(path, 254, "<h", 9),
    ),
    "qfac 0": lambda path: (write_nifti(path, qform=A), edit(path, 76, "<f", 0)),
    "metres": in_units(1),
    "microns": in_units(3),
    "big endian": lambda path: write_nifti(path, sform=A, qform=B, order=">"),
    "NIfTI-2": lambda path: write_nifti(path, sform=A, qform=B, version=2),
    "NIfTI-2, big endian": lambda path: write_nifti(path, qform=A, version=2, order=">"),
    "NIfTI-2, no form": lambda path: write_nifti(path, version=2),
    "NIfTI-2, negative pixdim": lambda path: negative_pixdim(path, sform=A, version=2),
    "one slice": lambda path: write_nifti(path, sform=A, qform=B, shape=(5, 6, 1)),
    "channels": lambda path: write_nifti(path, sform=A, qform=B, shape=(5, 6, 7, 2)),
    "2D": lambda path: write_nifti(path, sform=B, qform=A, shape=(5, 6)),
    "2D, no form": lambda path: write_nifti(path, shape=(5, 6)),
    "2D, coronal": lambda path: write_nifti(path, sform=CORONAL, shape=(5, 6)),
    "2D, sagittal": lambda path: write_nifti(path, qform=SAGITTAL, shape=(5, 6)),
    "2D, NIfTI-2": lambda path: write_nifti(path, sform=CORONAL, version=2, shape=(5, 6)),
}


@pytest.fixture(autouse=True)
def quiet_nibabel():
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_label_map_lies_on_its_image_in_nibabels_world(tmp_path, kind, ending, dtype):
    source, target = tmp_path / f"image{ending}", tmp_path / f"labels{ending}"
    HEADERS[kind](source)
    array, geometry = read_image(source)
    labels = np.arange(np.prod(geometry.shape)).reshape(geometry.shape).astype(dtype)
    write_labels(target, labels, geometry)
    image, mask = nib.load(source), nib.load(target)
    assert type(mask) is type(image)
    assert mask.shape == image.shape[:3]
    assert (mask.affine == image.affine).all()
    for form in ("get_sform", "get_qform"):
        first, first_code = getattr(image, form)(coded=True)
        second, second_code = getattr(mask, form)(coded=True)
        assert first_code == second_code
        assert np.array_equal(first, second)
    assert mask.header.get_xyzt_units() == image.header.get_xyzt_units()
    assert mask.header.endianness == image.header.endianness
    found = np.asarray(mask.dataobj)
    assert found.dtype.newbyteorder("=") == dtype
    assert np.array_equal(found.reshape(geometry.shape[::-1]).T, labels)
    assert read_image(target)[1] == geometry
    assert array.shape[1:] == geometry.shape


@pytest.mark.parametrize("kind", [kind for kind in HEADERS if "2D" not in kind])
def test_voxels_are_computed_with_where_nibabel_sees_them(tmp_path, kind):
    path = tmp_path / "image.nii.gz"
    HEADERS[kind](path)
    _, geometry = read_image(path)
    index = np.array([3, 2, 0 if kind == "one slice" else 5])
    directions = np.reshape(geometry.direction, (3, 3))
    found = geometry.origin_mm + directions @ (index * geometry.spacing_mm[::-1])
    image = nib.load(path)
    expected = (image.affine @ [*index, 1])[:3] * [-1, -1, 1]
    expected *= {"meter": 1000, "micron": 0.001}.get(image.header.get_xyzt_units()[0], 1)
    # A sheared image is read with the nearest right angles, a tenth of a voxel off at most.
    assert np.allclose(found, expected, rtol=1e-5, atol=0.01 if "sheared" in kind else 1e-4)
    assert np.allclose(directions @ directions.T, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("kind", ["forms differ", "no form", "scaled sform", "NIfTI-2"])
@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd"])
def test_other_formats_get_the_form_that_is_followed(tmp_path, kind, ending):
    HEADERS[kind](tmp_path / "image.nii.gz")
    _, geometry = read_image(tmp_path / "image.nii.gz")
    write_labels(tmp_path / f"a{ending}", np.ones(geometry.shape, np.uint8), geometry)
    found = sitk.ReadImage(str(tmp_path / f"a{ending}"))
    expected = (nib.load(tmp_path / "image.nii.gz").affine @ [3, 2, 1, 1])[:3] * [-1, -1, 1]
    assert np.allclose(found.TransformIndexToPhysicalPoint((3, 2, 1)), expected, atol=1e-4)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
@pytest.mark.parametrize("flip", [1, -1])
def test_label_maps_of_other_formats_lie_on_their_image_as_nifti(tmp_path, ending, flip):
    image = sitk.GetImageFromArray(voxels())
    image.SetSpacing((1.5, 2.0, 3.0))
    image.SetOrigin((-20, 30, 40))
    image.SetDirection((turned() @ np.diag([1, flip, 1])).flatten())
    sitk.WriteImage(image, str(tmp_path / f"image{ending}"))
    _, geometry = read_image(tmp_path / f"image{ending}")
    write_labels(tmp_path / "labels.nii.gz", np.ones(geometry.shape, np.uint8), geometry)
    expected = np.array(image.TransformIndexToPhysicalPoint((4, 2, 6))) * [-1, -1, 1]
    mask = nib.load(tmp_path / "labels.nii.gz")
    for form in (mask.get_sform(), mask.get_qform()):
        assert np.allclose((form @ [4, 2, 6, 1])[:3], expected, atol=1e-4)
    again = sitk.ReadImage(str(tmp_path / "labels.nii.gz"))
    assert np.allclose(again.TransformIndexToPhysicalPoint((4, 2, 6)), expected * [-1, -1, 1])


def test_images_with_more_voxels_than_nifti_1_counts_get_a_nifti_2(tmp_path):
    _, geometry = read_image(write_itk(tmp_path / "a.mha", np.zeros((1, 1, 40000), np.uint8)))
    write_labels(tmp_path / "a.nii.gz", np.ones(geometry.shape, np.uint8), geometry)
    assert nib.load(tmp_path / "a.nii.gz").shape == (40000, 1, 1)


def test_headers_that_two_programs_read_differently_are_named(tmp_path):
    said = {"both forms": "", "forms differ": "voxels apart", "negative pixdim": "is negative"}
    for kind, expected in said.items():
        path = tmp_path / "image.nii.gz"
        HEADERS[kind](path)
        warnings = image_warnings(*read_image(path), path)
        assert len(warnings) == bool(expected)
        assert all(item.startswith(f"{path}: ") and expected in item for item in warnings)


@pytest.mark.parametrize(("shift", "is_named"), [(0.7, False), (0.8, True)])
def test_forms_that_agree_to_half_a_voxel_are_not_named(tmp_path, shift, is_named):
    moved = A.copy()
    moved[0, 3] += shift  # of 1.5 mm
    path = write_nifti(tmp_path / "a.nii.gz", sform=A, qform=moved)
    assert bool(image_warnings(*read_image(path), path)) == is_named


def test_a_label_map_that_follows_the_other_form_lies_on_its_image(tmp_path):
    image = read_image(write_nifti(tmp_path / "image.nii.gz", sform=A, qform=B))[1]
    label = write_nifti(tmp_path / "label.nii.gz", sform=B, qform=B)
    assert grid_differences(image, read_image(label)[1], label) == []
    other = write_nifti(tmp_path / "other.nii.gz", sform=affine(origin=(0, 0, 0)))
    assert "origin" in grid_differences(image, read_image(other)[1], other)[0]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("forms", [{}, {"qform": A}, {"sform": A}])
@pytest.mark.parametrize("version", [1, 2])
def test_spacings_that_are_none_are_refused(tmp_path, value, forms, version):
    path = write_nifti(tmp_path / "a.nii.gz", version=version, **forms)
    offset, kind = PIXDIM[version]
    edit(path, offset + 2 * np.dtype(kind).itemsize, "<" + kind, value)
    with pytest.raises(ImageError, match=r"a.nii.gz: spacing \(1.5, .*, 3\) mm is not positive"):
        read_image(path)


def test_a_negative_spacing_of_another_size_is_refused(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", sform=A)
    edit(path, 80, "<f", -1.0)  # the sform says 1.5
    with pytest.raises(ImageError, match=r"spacing \(-1, 2, 3\) mm is not positive"):
        read_image(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize(("form", "place"), [("sform", 280), ("sform", 292), ("qform", 268)])
def test_a_form_that_is_no_place_is_refused(tmp_path, form, place, value):
    path = write_nifti(tmp_path / "a.nii.gz", **{form: A})
    edit(path, place, "<f", value)
    with pytest.raises(ImageError, match=f"its {form} is not finite"):
        read_image(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_form_that_is_no_place_and_not_followed_is_named(tmp_path, value):
    path = write_nifti(tmp_path / "a.nii.gz", sform=A, qform=A)
    edit(path, 268, "<f", value)
    assert "inf voxels apart" in image_warnings(*read_image(path), path)[0]


@pytest.mark.parametrize("offset", [-400, 0, 100, 347, np.nan, np.inf])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_voxels_that_would_begin_in_the_header_are_refused(tmp_path, offset, ending):
    path = write_nifti(tmp_path / f"a{ending}", sform=A)
    edit(path, 108, "<f", offset)
    with pytest.raises(ImageError, match="vox_offset is"):
        read_image(path)


def test_voxels_may_begin_behind_an_extension(tmp_path):
    image = nib.Nifti1Image(voxels(), A)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 1000))
    nib.save(image, tmp_path / "a.nii.gz")
    array, geometry = read_image(tmp_path / "a.nii.gz")
    assert np.array_equal(array[0].T, voxels())
    write_labels(tmp_path / "b.nii.gz", np.ones(geometry.shape, np.uint8), geometry)
    assert len(nib.load(tmp_path / "b.nii.gz").header.extensions) == 0


@pytest.mark.parametrize(
    "dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16"]
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_all_types_of_numbers_are_read(tmp_path, dtype, order):
    array = (100 * voxels()).astype(dtype) if dtype[0] != "u" else abs(100 * voxels()).astype(dtype)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(dtype))
    nib.save(nib.Nifti1Image(array, A, header), tmp_path / "a.nii")
    found, _ = read_image(tmp_path / "a.nii")
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found[0].T, array)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize(
    ("slope", "intercept"), [(1, 0), (2, -1), (1, -1024), (0, 5), (np.nan, 5), (-0.5, 0)]
)
def test_values_are_scaled_as_nibabel_scales_them(tmp_path, dtype, slope, intercept):
    array = np.arange(np.prod((5, 6, 7))).reshape(5, 6, 7).astype(dtype)
    nib.save(nib.Nifti1Image(array, A), tmp_path / "a.nii")
    edit(tmp_path / "a.nii", 112, "<2f", slope, intercept)
    expected = np.asarray(nib.load(tmp_path / "a.nii").dataobj)
    found, _ = read_image(tmp_path / "a.nii")
    assert np.allclose(found[0].T, expected, rtol=1e-6)


def test_labels_stored_as_parts_of_255_are_whole_numbers_again(tmp_path):
    labels = np.random.default_rng(0).integers(0, 4, (5, 6, 7))
    nib.save(nib.Nifti1Image((labels * 85).astype(np.uint8), A), tmp_path / "a.nii.gz")
    edit(tmp_path / "a.nii.gz", 112, "<2f", 1 / 85, 0)
    assert np.array_equal(read_image(tmp_path / "a.nii.gz")[0][0].T, labels)


def test_colours_and_vectors_are_channels(tmp_path):
    colours = np.zeros((5, 6, 7), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["G"] = 7
    nib.save(nib.Nifti1Image(colours, A), tmp_path / "rgb.nii.gz")
    found, _ = read_image(tmp_path / "rgb.nii.gz")
    assert found.shape == (3, 7, 6, 5)
    assert [int(channel.max()) for channel in found] == [0, 7, 0]
    for shape in ((3, 4, 5), (4, 5)):
        vectors = np.random.default_rng(0).normal(size=(*shape, 2)).astype(np.float32)
        image = sitk.GetImageFromArray(vectors, isVector=True)
        sitk.WriteImage(image, str(tmp_path / "v.nii.gz"))
        found, geometry = read_image(tmp_path / "v.nii.gz")
        assert geometry.dimensions == len(shape)
        assert np.array_equal(np.moveaxis(found, 0, -1).reshape(vectors.shape), vectors)


@pytest.mark.parametrize(
    ("offset", "layout", "values", "said"),
    [
        (70, "<h", (1,), "NIfTI's type 1"),
        (70, "<h", (1536,), "NIfTI's type 1536"),
        (40, "<h", (0,), "its dim is"),
        (40, "<h", (8,), "its dim is"),
        (42, "<h", (-5,), "its dim is"),
        (40, "<h", (1,), "1 dimension"),
        (40, "<7h", (6, 5, 6, 7, 2, 3, 1), "at most one axis besides space"),
        (344, "4s", (b"ni1\0",), "voxels are in a file of their own"),
        (344, "4s", (b"\0\0\0\0",), "is no NIfTI file"),
        (0, "<i", (349,), "is no NIfTI file"),
        (112, "<2f", (2.0, np.nan), "scl_inter is nan"),
        (42, "<h", (30000,), "truncated"),
    ],
)
def test_headers_that_say_what_cannot_be_are_refused(tmp_path, offset, layout, values, said):
    path = write_nifti(tmp_path / "a.nii", sform=A)
    edit(path, offset, layout, *values)
    with pytest.raises(ImageError, match=said) as caught:
        read_image(path)
    assert len(str(caught.value)) - len(str(path)) < 220


def test_a_file_that_is_not_packed_is_read_in_spite_of_its_name(tmp_path):
    path = write_nifti(tmp_path / "a.nii", sform=A)
    path.rename(tmp_path / "b.nii.gz")
    assert np.array_equal(read_image(tmp_path / "b.nii.gz")[0][0].T, voxels())
    (tmp_path / "c.nii").write_bytes(gzip.compress((tmp_path / "b.nii.gz").read_bytes()))
    assert np.array_equal(read_image(tmp_path / "c.nii")[0][0].T, voxels())
