"""NIfTI files, written by nibabel."""

from __future__ import annotations

import gzip
import struct
import zlib

import nibabel as nib
import numpy as np
import pytest

import evaluation
from evaluation.errors import EvaluationError
from evaluation.files.image_files import read_image
from evaluation.files.label_maps import read_label_map
from tests.evaluation.conftest import write

LABELS = np.random.default_rng(0).integers(0, 4, (7, 8, 9)).astype(np.uint8)
"""As nibabel has it, [x, y, z]."""
AFFINE = np.array([[0, -2, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 1], [0, 0, 0, 1.0]])


def save(path, array=LABELS, affine=AFFINE, kind=nib.Nifti1Image, dtype=None):
    image = kind(array, affine, dtype=array.dtype)
    if dtype is not None:
        image.header.set_data_dtype(dtype)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_truncated_predictions_are_refused(tmp_path, ending):
    labels = np.random.default_rng(0).integers(0, 3, (9, 8, 7)).astype(np.uint8)
    for folder in ("ref", "pred"):
        write(tmp_path / folder / f"a{ending}", labels)
    path = tmp_path / f"pred/a{ending}"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(EvaluationError, match="truncated"):
        evaluation.evaluate_folders(tmp_path / "ref", tmp_path / "pred")


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_labels_of_all_types_are_read(tmp_path, dtype, ending):
    found = read_label_map(save(tmp_path / f"a{ending}", LABELS.astype(dtype)))
    assert (found.labels == LABELS.T).all()
    assert found.labels.dtype.kind in "iu"
    assert found.spacing_mm == pytest.approx((3, 2, 1.5))
    assert found.origin_mm == pytest.approx((-5, 7, 1))
    assert np.reshape(found.direction, (3, 3)) == pytest.approx(
        np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    )


def test_the_other_byte_order_and_nifti_2_are_read(tmp_path):
    image = nib.Nifti1Image(LABELS.astype(">i2"), AFFINE)
    swapped = nib.Nifti1Image(LABELS.astype(">i2"), AFFINE, image.header.as_byteswapped(">"))
    nib.save(swapped, tmp_path / "a.nii.gz")
    save(tmp_path / "b.nii.gz", kind=nib.Nifti2Image)
    first, second = (read_label_map(tmp_path / f"{name}.nii.gz") for name in "ab")
    for found in (first, second):
        assert (found.labels == LABELS.T).all()
        assert found.spacing_mm == pytest.approx((3, 2, 1.5))
        assert found.direction == pytest.approx(first.direction)
        assert found.origin_mm == pytest.approx(first.origin_mm)


@pytest.mark.parametrize("highest", [1, 3, 4, 7, 100])
def test_floating_point_labels_that_nibabel_scaled_are_labels(tmp_path, highest):
    # With a header of bytes nibabel stores 0 … highest as 0 … 255 and a slope.
    labels = np.minimum(LABELS * (highest / 3), highest).round()
    path = save(tmp_path / "a.nii.gz", labels.astype(float), dtype=np.uint8)
    assert nib.load(path).dataobj.slope == pytest.approx(highest / 255)
    assert (read_label_map(path).labels == labels.T).all()


def test_scaled_numbers_that_are_no_labels_are_refused_with_their_value(tmp_path):
    path = save(tmp_path / "a.nii.gz", LABELS / 3, dtype=np.uint8)
    with pytest.raises(EvaluationError, match=r"no integers, or NaN, such as 0\.\d+"):
        read_label_map(path)
    almost = save(tmp_path / "b.nii", (LABELS + np.float32(1e-7)).astype(np.float32))
    assert (read_label_map(almost).labels == LABELS.T).all()


def unpacked_alike(first, second):
    try:
        return gzip.decompress(first) == gzip.decompress(second)
    except (zlib.error, OSError, EOFError):
        return False


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_flipped_bit_of_packed_voxels_is_found(tmp_path, dtype):
    # Far more than a reader's buffer: the checksum stands behind all of it.
    rng = np.random.default_rng(0)
    path = save(tmp_path / "a.nii.gz", rng.integers(0, 4, (40, 50, 60)).astype(dtype))
    raw = path.read_bytes()
    for place in rng.integers(1000, len(raw), 25).tolist():
        damaged = bytearray(raw)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        if unpacked_alike(damaged, raw):  # a bit that deflate does not use
            continue
        with pytest.raises(EvaluationError, match="damaged"):
            read_image(path)


@pytest.mark.parametrize("place", [-8, -1])
def test_a_wrong_checksum_or_length_is_found(tmp_path, place):
    path = save(tmp_path / "a.nii.gz")
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
    with pytest.raises(EvaluationError, match="damaged"):
        read_image(path)


def test_several_gzip_streams_in_a_row_are_one_file(tmp_path):
    raw = gzip.decompress(save(tmp_path / "a.nii.gz").read_bytes())
    whole = gzip.compress(raw[:500]) + gzip.compress(raw[500:])
    (tmp_path / "a.nii.gz").write_bytes(whole)
    assert (read_label_map(tmp_path / "a.nii.gz").labels == LABELS.T).all()
    (tmp_path / "a.nii.gz").write_bytes(whole[:-1])
    with pytest.raises(EvaluationError, match="truncated or damaged"):
        read_label_map(tmp_path / "a.nii.gz")


def test_a_file_that_is_not_packed_in_spite_of_its_name_is_read(tmp_path):
    save(tmp_path / "a.nii").rename(tmp_path / "a.nii.gz")
    assert (read_label_map(tmp_path / "a.nii.gz").labels == LABELS.T).all()


def test_no_number_that_is_none_becomes_a_label(tmp_path):
    labels = LABELS.astype(np.float32)
    labels[0, 0, 0] = np.nan
    for ending in (".nii", ".nii.gz"):
        with pytest.raises(EvaluationError, match="or NaN, such as nan"):
            read_label_map(save(tmp_path / f"a{ending}", labels))


@pytest.mark.parametrize("shape", [(7, 8, 9, 2), (7, 8, 9, 1, 3)])
def test_points_in_time_are_no_label_map(tmp_path, shape):
    path = save(tmp_path / "a.nii.gz", np.zeros(shape, np.uint8))
    with pytest.raises(EvaluationError, match="has several channels .or points in time., shape"):
        read_label_map(path)


def test_axes_of_one_voxel_behind_the_spatial_ones_do_not_count(tmp_path):
    path = save(tmp_path / "a.nii.gz", LABELS[..., None, None])
    assert read_label_map(path).labels.shape == LABELS.T.shape
    plane = read_label_map(save(tmp_path / "b.nii.gz", LABELS[..., 0]))
    assert (plane.labels == LABELS[..., 0].T).all()
    assert len(plane.spacing_mm) == len(plane.origin_mm) == 2


def sheared(tmp_path, folder, shear, shape=(50, 60, 20)):
    affine = np.diag([-1.0, -1.0, 3.0, 1.0])
    affine[0, 1] = shear
    labels = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    (tmp_path / folder).mkdir(exist_ok=True)
    return save(tmp_path / folder / "a.nii.gz", labels, affine)


@pytest.mark.parametrize("shear", [1e-6, 1e-4, 5e-4, 2e-3])
def test_axes_that_are_nearly_at_right_angles_are_scored(tmp_path, shear):
    sheared(tmp_path, "ref", shear)
    sheared(tmp_path, "pred", shear)
    sheared(tmp_path, "straight", 0)
    for folder in ("pred", "straight"):
        summary = evaluation.evaluate_folders(tmp_path / "ref", tmp_path / folder)
        assert summary.mean("dice") == 1


def test_axes_that_are_not_at_right_angles_are_refused_with_the_figure(tmp_path):
    # The farthest corner is 59 rows away; half of the shear goes into either axis.
    path = sheared(tmp_path, "ref", 0.02)
    with pytest.raises(EvaluationError, match=r"0\.59 voxels off at a corner, at most 0\.1"):
        read_label_map(path)


def header(path, place, form, *values):
    raw = bytearray(path.read_bytes())
    struct.pack_into(form, raw, place, *values)
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("place", "form", "value", "message"),
    [
        (108, "<f", -400.0, "vox_offset is -400"),
        (42, "<h", -7, "its dim is"),
        (40, "<h", 9, "its dim is"),
        (70, "<h", 1792, "NIfTI's type 1792"),
        (0, "<i", 7, "is no NIfTI file"),
        (344, "<4s", b"ni1\0", "in a file of their own"),
    ],
)
def test_headers_that_say_what_cannot_be_are_refused(tmp_path, place, form, value, message):
    path = save(tmp_path / "a.nii")
    header(path, place, form, value)
    with pytest.raises(EvaluationError, match=message):
        read_label_map(path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_header_that_speaks_of_more_than_a_file_can_hold_takes_no_memory(tmp_path, ending):
    path = save(tmp_path / "a.nii")
    header(path, 42, "<3h", 30000, 30000, 30000)
    if ending == ".nii.gz":
        packed = gzip.compress(path.read_bytes())
        path = tmp_path / "a.nii.gz"
        path.write_bytes(packed)
    with pytest.raises(EvaluationError, match="truncated, .* for 27000000000000 of voxels"):
        read_label_map(path)


def test_a_stream_that_unpacks_to_far_more_than_its_header_says_is_refused(tmp_path):
    path = tmp_path / "a.nii.gz"
    raw = save(tmp_path / "a.nii").read_bytes()
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(raw), *(packer.compress(bytes(1 << 24)) for _ in range(8))]
    path.write_bytes(b"".join([*parts, packer.flush()]))
    with pytest.raises(EvaluationError, match="unpacks to far more than its header says"):
        read_label_map(path)


@pytest.mark.parametrize("spacing", [0.0, np.nan])
def test_a_voxel_size_that_is_none_is_one_clear_line(tmp_path, spacing):
    path = tmp_path / "a.nii"
    write(path, np.zeros((3, 4, 5), np.uint8))
    header(path, 80, "<f", spacing)  # pixdim of x
    header(path, 252, "<2h", 0, 0)
    with pytest.raises(EvaluationError, match="not above 0"):
        read_label_map(path)
