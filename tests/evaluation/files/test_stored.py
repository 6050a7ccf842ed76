"""NRRD and MetaImage files: checksums, and voxels beside a header."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from evaluation.errors import EvaluationError
from evaluation.files.image_files import read_image
from evaluation.files.label_maps import read_label_map

LABELS = np.random.default_rng(0).integers(0, 4, (20, 30, 40)).astype(np.uint8)


def save(path, array=LABELS, packed=True):
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path), useCompression=packed)
    return path


@pytest.mark.parametrize("ending", ["mha", "mhd", "nrrd"])
@pytest.mark.parametrize("packed", [True, False])
def test_they_are_read_packed_or_not(tmp_path, ending, packed):
    assert (read_label_map(save(tmp_path / f"a.{ending}", packed=packed)).labels == LABELS).all()


@pytest.mark.parametrize("ending", ["mha", "mhd", "nrrd"])
def test_every_flipped_bit_of_packed_voxels_is_found(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}")
    voxels = tmp_path / "a.zraw" if ending == "mhd" else path
    raw, rng = voxels.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(1000, len(raw), 25).tolist():
        damaged = bytearray(raw)
        damaged[place] ^= 1 << int(rng.integers(8))
        voxels.write_bytes(damaged)
        with pytest.raises(EvaluationError):
            read_image(path)


@pytest.mark.parametrize("ending", ["mha", "mhd", "nrrd"])
@pytest.mark.parametrize("packed", [True, False])
def test_truncated_voxels_are_refused(tmp_path, ending, packed):
    path = save(tmp_path / f"a.{ending}", packed=packed)
    beside = sorted(tmp_path.glob("a.*raw"))
    voxels = beside[0] if beside else path
    voxels.write_bytes(voxels.read_bytes()[:-100])
    with pytest.raises(EvaluationError, match="truncated|cannot be read"):
        read_image(path)


def test_a_header_that_speaks_of_more_than_a_file_can_hold_takes_no_memory(tmp_path):
    path = save(tmp_path / "a.nrrd", packed=False)
    raw = path.read_bytes().replace(b"sizes: 40 30 20", b"sizes: 40000 30000 20000")
    path.write_bytes(raw)
    with pytest.raises(EvaluationError, match="truncated, .* for 24000000000000 voxels"):
        read_image(path)


def named(path, name):
    lines = [line for line in path.read_text().splitlines() if "DataFile" not in line]
    path.write_text("\n".join([*lines, f"ElementDataFile = {name}", ""]))


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../secret.raw", "link.raw", "LIST", "a%03d.raw 1 3 1", "pipe.raw"]
)
def test_voxels_are_read_beside_the_header_only(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = save(folder / "a.mhd", packed=False)
    (tmp_path / "secret.raw").write_bytes(bytes(LABELS.size))
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    os.mkfifo(folder / "pipe.raw")
    named(path, name)
    with pytest.raises(EvaluationError, match="expected one file beside it|is no plain file"):
        read_image(path)


def test_voxels_of_a_nrrd_header_are_read_beside_it_only(tmp_path):
    path = save(tmp_path / "a.nrrd", packed=False)
    raw = path.read_bytes()
    path.write_bytes(raw[: raw.index(b"\n\n")] + b"\ndata file: /etc/passwd\n\n")
    with pytest.raises(EvaluationError, match="expected one file beside it"):
        read_image(path)


def test_linked_headers_have_their_voxels_where_they_point(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "links").mkdir()
    save(tmp_path / "store/a.mhd", packed=False)
    for name in ("a.mhd", "a.raw"):
        (tmp_path / "links" / name).symlink_to(tmp_path / "store" / name)
    assert (read_label_map(tmp_path / "links/a.mhd").labels == LABELS).all()


def test_a_stream_that_unpacks_to_far_more_than_its_header_says_is_refused(tmp_path):
    path = save(tmp_path / "a.mha")
    raw = path.read_bytes()
    start = raw.index(b"LOCAL\n") + 6
    packed = zlib.compress(LABELS.tobytes() + bytes(1 << 26), 1)
    head = raw[:start].split(b"\n")
    head = [line for line in head if not line.startswith(b"CompressedDataSize")]
    path.write_bytes(b"\n".join(head) + packed)
    with pytest.raises(EvaluationError, match="far more than its header says"):
        read_image(path)


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_four_dimensions_are_no_label_map(tmp_path, ending):
    array = np.zeros((2, 3, 4, 5), np.uint8)
    path = tmp_path / f"a.{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(path))
    with pytest.raises(EvaluationError, match=r"shape \(2, 3, 4, 5\); a label map has one"):
        read_label_map(path)
    sitk.WriteImage(sitk.GetImageFromArray(array[:1], isVector=False), str(path))
    assert read_label_map(path).labels.shape == (3, 4, 5)
