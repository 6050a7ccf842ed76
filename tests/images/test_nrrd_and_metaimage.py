"""NRRD and MetaImage are read as ITK reads them, but for what ITK bends or does not see."""

from __future__ import annotations

import bz2

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.errors import ImageError
from autoseg.images.faults import image_faults
from autoseg.images.files import read_image, write_labels
from autoseg.schema.geometry import geometry_differences
from tests.images.made import EIGHT, turned, voxels, write_itk, write_meta, write_nrrd

LPS = "left-posterior-superior"
STEPS = "(1,0,0) (0,2,0) (0,0,3)"
OBLIQUE = " ".join(
    "(" + ",".join(f"{value:.17g}" for value in column) + ")"
    for column in (turned() * [1.5, 2, 3]).T
)
MATRIX = " ".join(f"{value:.17g}" for value in turned().T.flat)

NRRD_HEADERS = {
    "nothing": {},
    "spacings": {"spacings": "1 2 3"},
    "centres of cells": {"spacings": "1 2 3", "axis mins": "5 6 7"},
    "centres of nodes": {"spacings": "1 2 3", "axis mins": "5 6 7", "centers": "node node node"},
    "LPS": {"space": LPS, "space directions": STEPS, "space origin": "(1,2,3)"},
    "RAS": {"space": "RAS", "space directions": STEPS, "space origin": "(1,2,3)"},
    "LAS": {
        "space": "left-anterior-superior", "space directions": STEPS, "space origin": "(1,2,3)"
    },
    "scanner": {"space": "scanner-xyz", "space directions": STEPS, "space origin": "(1,2,3)"},
    "oblique": {"space": LPS, "space directions": OBLIQUE},
    "signed": {"type": "signed char"},
    "shorts": {"type": "short", "endian": "big", "sizes": "2 2 1"},
    "floats": {"type": "float", "endian": "little", "sizes": "2 1 1"},
    "text": {"encoding": "ascii"},
    "hexadecimal": {"encoding": "hex"},
    "skipped bytes": {"byte skip": "4", "sizes": "2 2 1"},
    "bytes at the end": {"byte skip": "-1", "sizes": "2 2 1"},
    "2D": {"dimension": "2", "sizes": "2 4", "spacings": "2 3"},
    "vectors": {"dimension": "4", "sizes": "2 2 2 1", "kinds": "vector domain domain domain"},
    "list last": {
        "dimension": "4", "sizes": "1 2 2 2", "space": LPS, "kinds": "domain domain domain list",
        "space directions": f"{STEPS} none",
    },
    "2D vectors": {"kinds": "vector domain domain"},
    "four axes": {"dimension": "4", "sizes": "2 2 1 2"},
}  # fmt: skip

META_HEADERS = {
    "nothing": {},
    "spacing": {"ElementSpacing": "1 2 3", "Offset": "4 5 6"},
    "size": {"ElementSize": "1 2 3", "Position": "4 5 6"},
    "oblique": {"ElementSpacing": "1 2 3", "TransformMatrix": MATRIX},
    "swapped axes": {"ElementSpacing": "1 2 3", "TransformMatrix": "0 1 0 1 0 0 0 0 1"},
    "signed": {"ElementType": "MET_CHAR"},
    "shorts": {"ElementType": "MET_SHORT", "DimSize": "2 2 1", "BinaryDataByteOrderMSB": "True"},
    "floats": {"ElementType": "MET_FLOAT", "DimSize": "2 1 1"},
    "text": {"BinaryData": "False"},
    "2D": {"NDims": "2", "DimSize": "2 4", "ElementSpacing": "2 3"},
    "vectors": {"DimSize": "2 2 1", "ElementNumberOfChannels": "2"},
    "2D vectors": {"NDims": "2", "DimSize": "2 2", "ElementNumberOfChannels": "2"},
    "four axes": {"NDims": "4", "DimSize": "2 2 1 2", "ElementSpacing": "1 2 3 4"},
}

WRITERS = {".nrrd": (write_nrrd, NRRD_HEADERS), ".mha": (write_meta, META_HEADERS)}
CASES = [(ending, kind) for ending, (_, headers) in WRITERS.items() for kind in headers]


@pytest.mark.parametrize(("ending", "kind"), CASES)
def test_voxels_and_geometry_are_those_of_itk(tmp_path, ending, kind):
    write, headers = WRITERS[ending]
    text = {"text": b"0 1 2 3\n4 5 6 7\n", "hexadecimal": b"00010203 04050607\n"}
    path = write(tmp_path / f"a{ending}", text.get(kind, EIGHT), **headers[kind])
    array, geometry = read_image(path)
    image = sitk.ReadImage(str(path))
    expected = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        expected = np.moveaxis(expected, -1, 0)
    assert array.dtype == expected.dtype
    assert np.array_equal(array.ravel(), expected.ravel())
    axes = geometry.dimensions
    assert np.allclose(geometry.spacing_mm[: -1 - axes : -1], image.GetSpacing()[:axes])
    assert np.allclose(geometry.origin_mm, image.GetOrigin()[:axes])
    size = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (size, size))[:axes, :axes]
    assert np.allclose(np.reshape(geometry.direction, (axes, axes)), direction)
    assert array.shape[1:] == geometry.shape == (1, *image.GetSize()[:axes][::-1])[-3:]


def test_bzip2_is_read_which_itk_cannot(tmp_path):
    path = write_nrrd(tmp_path / "a.nrrd", bz2.compress(EIGHT), encoding="bzip2")
    assert np.array_equal(read_image(path)[0].ravel(), np.arange(8))


SPACINGS = ["0 1 1", "-1 1 1", "nan 1 1", "inf 1 1", "1 -inf 1"]


@pytest.mark.parametrize("value", SPACINGS)
def test_spacings_that_are_none_are_refused(tmp_path, value):
    with pytest.raises(ImageError, match=r"(not positive and finite|'spacings' is)"):
        read_image(write_nrrd(tmp_path / "a.nrrd", spacings=value))
    with pytest.raises(ImageError, match="not positive and finite"):
        read_image(write_meta(tmp_path / "a.mha", ElementSpacing=value))
    steps = " ".join(f"({a},{b},{c})" for a, b, c in np.diag(np.array(value.split(), float)))
    if "-1" not in value:  # the direction of a step has a sign of its own
        with pytest.raises(ImageError, match="not positive and finite"):
            read_image(write_nrrd(tmp_path / "b.nrrd", space=LPS, space_directions=steps))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_and_infinity_are_found_in_all_formats(tmp_path, value, ending, dtype):
    array = voxels().astype(dtype)
    array[1, 2, 3] = array[4, 5, 6] = value
    path = write_itk(tmp_path / f"a{ending}", array)
    found, geometry = read_image(path)
    assert np.array_equal(found[0], array, equal_nan=True)
    faults = image_faults(found, geometry, path)
    assert faults == [f"{path}: holds NaN or infinity in 2 voxels. Replace them."]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type": None}, "'type' is missing"),
        ({"type": "block"}, "'type' is 'block'"),
        ({"encoding": "rot13"}, "'encoding' is 'rot13'"),
        ({"sizes": "2 2"}, "'sizes' is '2 2'"),
        ({"sizes": "2 2 -2"}, "'sizes' is"),
        ({"sizes": "2 2 x"}, "'sizes' is 'x'"),
        ({"sizes": "9" * 5000 + " 2 2"}, "'sizes' is '99999"),
        ({"kinds": "domain domain"}, "'kinds' is"),
        ({"kinds": "vector vector domain"}, "at most one of channels"),
        ({"spacings": "1 2"}, "'spacings' is"),
        ({"endian": "middle"}, "'endian' is"),
        ({"byte skip": "-2"}, "'byte skip' is"),
        ({"space": "underwater", "space directions": STEPS}, "'space' is 'underwater'"),
        ({"space": LPS, "space directions": "(1,0,0) (0,1,0)"}, "'space directions' is"),
        ({"space": LPS, "space directions": "(1,0,0) (0,x,0) (0,0,1)"}, "'space directions' is"),
        ({"space": LPS, "space directions": STEPS, "space origin": "1"}, "'space origin' is"),
        ({"encoding": "ascii"}, "no text of numbers"),
    ],
)
def test_wrong_nrrd_headers_are_refused(tmp_path, fields, said):
    path = write_nrrd(tmp_path / "a.nrrd", **fields)
    with pytest.raises(ImageError, match=said) as caught:
        read_image(path)
    assert len(str(caught.value)) - len(str(path)) < 220


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"NDims": "2"}, "DimSize is '2 2 2'"),
        ({"DimSize": "2 2 0"}, "DimSize is"),
        ({"DimSize": "a b c"}, "DimSize is"),
        ({"ElementType": "MET_STRING"}, "ElementType is 'MET_STRING'"),
        ({"ElementSpacing": "1 2"}, "not those of 3 axes"),
        ({"ElementSpacing": "one"}, "ElementSpacing is 'one'"),
        ({"ElementNumberOfChannels": "0"}, "ElementNumberOfChannels is '0'"),
        ({"HeaderSize": "-7"}, "HeaderSize is '-7'"),
        ({"NDims": "5", "DimSize": "2 2 2 1 1"}, "5 dimensions"),
        ({"BinaryData": "False"}, "no text of numbers"),
    ],
)
def test_wrong_metaimage_headers_are_refused(tmp_path, fields, said):
    path = write_meta(tmp_path / "a.mha", **fields)
    with pytest.raises(ImageError, match=said) as caught:
        read_image(path)
    assert len(str(caught.value)) - len(str(path)) < 220


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "i4", "i8"])
@pytest.mark.parametrize("axes", [2, 3])
def test_itk_reads_what_is_written(tmp_path, ending, dtype, axes):
    image = sitk.GetImageFromArray(np.zeros((5, 6, 7)[-axes:], np.uint8))
    image.SetSpacing((1.5, 2.25, 3.125)[:axes])
    image.SetOrigin((-20.5, 30.25, 1 / 3)[:axes])
    image.SetDirection(turned().flatten() if axes == 3 else (0, 1, -1, 0))
    sitk.WriteImage(image, str(tmp_path / f"image{ending}"))
    _, geometry = read_image(tmp_path / f"image{ending}")
    labels = np.random.default_rng(0).integers(0, 100, geometry.shape).astype(dtype)
    write_labels(tmp_path / f"a{ending}", labels, geometry)
    found = sitk.ReadImage(str(tmp_path / f"a{ending}"))
    array = sitk.GetArrayFromImage(found)
    assert array.dtype == np.dtype(dtype)
    assert np.array_equal(array.reshape(labels.shape), labels)
    assert np.allclose(found.GetOrigin(), image.GetOrigin(), rtol=0, atol=1e-12)
    assert np.allclose(found.GetSpacing(), image.GetSpacing(), rtol=0, atol=1e-12)
    assert np.allclose(found.GetDirection(), image.GetDirection(), rtol=0, atol=1e-12)
    assert geometry_differences(read_image(tmp_path / f"a{ending}")[1], geometry) == []


def test_odd_metaimages_of_other_programs_are_read(real_data):
    folder = real_data / "odd_files"
    plain, _ = read_image(folder / "image10x10x10.mhd")
    for name in ("image10x10x10-extra-stuff.mhd", "image10x10x10.mha"):
        assert np.array_equal(read_image(folder / name)[0], plain)
    assert read_image(folder / "image10x11x12x13.mha")[0].shape == (13, 12, 11, 10)
    assert read_image(folder / "image128x256RGB.mhd")[0].shape == (3, 1, 256, 128)
    with pytest.raises(ImageError, match="truncated"):  # its key for compression is no UTF-8
        read_image(folder / "invalid_utf8.mhd")
