"""Packed files are read to their end: no damage goes unseen, no claim is believed unseen."""

from __future__ import annotations

import bz2
import gzip
import resource
import zlib

import nibabel as nib
import numpy as np
import pytest

from autoseg.errors import ImageError
from autoseg.images.files import read_image
from tests.images.made import meta_header, nrrd_header, voxels, write_itk

ENDINGS = (".nii.gz", ".nrrd", ".mha", ".mhd")
SHAPE = (9, 12, 10)


def packed_image(tmp_path, ending):
    """(file, file with the voxels, first byte of the packed stream)."""
    path = write_itk(tmp_path / f"a{ending}", voxels(shape=SHAPE))
    data = path.with_suffix(".zraw") if ending == ".mhd" else path
    content = data.read_bytes()
    start = {".nrrd": content.find(b"\x1f\x8b"), ".mha": content.find(b"LOCAL\n") + 6}
    return path, data, start.get(ending, 0)


def bzip2_image(tmp_path):
    header = nrrd_header(type="float", sizes="10 12 9", encoding="bzip2").encode()
    path = tmp_path / "a.nrrd"
    path.write_bytes(header + bz2.compress(voxels(shape=SHAPE).tobytes()))
    return path, path, len(header)


@pytest.mark.parametrize("ending", [*ENDINGS, "bzip2"])
def test_no_flipped_bit_changes_a_voxel_without_a_word(tmp_path, ending):
    path, data, start = (
        bzip2_image(tmp_path) if ending == "bzip2" else packed_image(tmp_path, ending)
    )
    whole = read_image(path)[0]
    content = data.read_bytes()
    rng = np.random.default_rng(0)
    refused, said = 0, set()
    for _ in range(80):
        damaged = bytearray(content)
        damaged[rng.integers(start, len(content))] ^= 1 << rng.integers(0, 8)
        data.write_bytes(damaged)
        try:
            found = read_image(path)[0]
        except ImageError as error:
            refused += 1
            said.add(str(error).partition("(")[0])
            continue
        # Times and names in gzip's own header may change; voxels may not.
        assert np.array_equal(found, whole)
    assert refused > 70
    assert said == {f"{data}: cannot be read "}


@pytest.mark.parametrize("ending", [*ENDINGS, "bzip2"])
def test_a_stream_that_lacks_its_last_byte_is_refused(tmp_path, ending):
    path, data, _ = bzip2_image(tmp_path) if ending == "bzip2" else packed_image(tmp_path, ending)
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ImageError, match=r"truncated or damaged: .*Copy or export it again"):
        read_image(path)


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha"])
def test_plain_files_that_lack_their_last_byte_are_refused(tmp_path, ending):
    path = write_itk(tmp_path / f"a{ending}", voxels(shape=SHAPE), packed=False)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ImageError, match="truncated"):
        read_image(path)


def test_several_streams_in_a_file_are_one_and_all_are_checked(tmp_path):
    write_itk(tmp_path / "a.nii", voxels(shape=SHAPE))
    content = (tmp_path / "a.nii").read_bytes()
    parts = [gzip.compress(content[a:b]) for a, b in ((0, 100), (100, 900), (900, None))]
    (tmp_path / "b.nii.gz").write_bytes(b"".join(parts))
    assert np.array_equal(read_image(tmp_path / "b.nii.gz")[0][0], voxels(shape=SHAPE))
    parts[1] = parts[1][:-6] + bytes(6)
    (tmp_path / "c.nii.gz").write_bytes(b"".join(parts))
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(tmp_path / "c.nii.gz")


def test_bytes_behind_the_voxels_are_left_out(tmp_path):
    write_itk(tmp_path / "a.nii", voxels(shape=SHAPE))
    content = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii").write_bytes(content + b"more")
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content + b"more"))
    (tmp_path / "c.nii.gz").write_bytes(gzip.compress(content) + bytes(512))
    for name in ("a.nii", "b.nii.gz", "c.nii.gz"):
        assert np.array_equal(read_image(tmp_path / name)[0][0], voxels(shape=SHAPE))


CLAIM = 8 * 10**9


def small_nifti(path):
    header = nib.Nifti2Header()
    header.set_data_shape((2000, 2000, 2000))
    header.set_data_dtype(np.uint8)
    header["vox_offset"], header["magic"] = 544, header.single_magic
    content = header.binaryblock + bytes(4) + bytes(100)
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)


CLAIMS = {
    "a.nii": small_nifti,
    "a.nii.gz": small_nifti,
    "a.nrrd": lambda p: p.write_bytes(
        nrrd_header(sizes="2000 2000 2000", encoding="gzip").encode() + gzip.compress(bytes(100))
    ),
    "b.nrrd": lambda p: p.write_bytes(nrrd_header(sizes="2000 2000 2000").encode() + bytes(100)),
    "c.nrrd": lambda p: p.write_bytes(
        nrrd_header(sizes="2000 2000 2000", encoding="bzip2").encode() + bz2.compress(bytes(100))
    ),
    "d.nrrd": lambda p: p.write_bytes(
        nrrd_header(sizes="2000 2000 2000", encoding="ascii").encode() + b"1 2 3"
    ),
    "a.mha": lambda p: p.write_bytes(
        meta_header(DimSize="2000 2000 2000", CompressedData="True").encode()
        + zlib.compress(bytes(100))
    ),
    "b.mha": lambda p: p.write_bytes(meta_header(DimSize="2000 2000 2000").encode() + bytes(100)),
    "c.mha": lambda p: p.write_bytes(
        meta_header(DimSize="99999999999999999999 9 9").encode() + bytes(100)
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_that_the_file_cannot_hold_takes_no_memory(tmp_path, name):
    CLAIMS[name](tmp_path / name)
    assert (tmp_path / name).stat().st_size < 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as stream:
        used = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, hard))
    try:
        with pytest.raises(ImageError, match="truncated"):
            read_image(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_stream_that_goes_on_far_behind_its_voxels_is_refused(tmp_path, ending):
    bomb = bytes(2**26)
    path = tmp_path / f"a{ending}"
    if ending == ".nii.gz":
        write_itk(tmp_path / "a.nii", voxels(shape=SHAPE))
        path.write_bytes(gzip.compress((tmp_path / "a.nii").read_bytes() + bomb, 1))
    elif ending == ".nrrd":
        path.write_bytes(nrrd_header(encoding="gzip").encode() + gzip.compress(bomb, 1))
    else:
        path.write_bytes(meta_header(CompressedData="True").encode() + zlib.compress(bomb, 1))
    with pytest.raises(ImageError, match="unpacks to more than twice the"):
        read_image(path)


@pytest.mark.slow
def test_images_of_more_than_four_gibibytes_are_read(tmp_path):
    """Gzip's own length is modulo 2³²."""
    path = tmp_path / "a.nii.gz"
    header = nib.Nifti1Header()
    header.set_data_shape((2048, 2048, 1025))
    header.set_data_dtype(np.uint8)
    header["vox_offset"], header["magic"] = 352, header.single_magic
    plane = bytes(2**22)
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(header.binaryblock + bytes(4))
        for _ in range(1024):
            stream.write(plane)
        stream.write(b"\1" * 2**22)
    array, _ = read_image(path)
    assert array.nbytes == 1025 * 2**22
    assert array[0, 1023].max() == 0
    assert array[0, 1024].min() == 1
