"""Pictures, written by Pillow, tifffile and ITK."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

import evaluation
from evaluation.errors import EvaluationError
from evaluation.files.image_files import read_image
from evaluation.files.label_maps import read_label_map
from tests.evaluation.conftest import write

LABELS = np.random.default_rng(0).integers(0, 3, (40, 50)).astype(np.uint8)
COLOURS = [0, 0, 0, 200, 10, 10, 10, 200, 10]


def with_palette(path, **options):
    image = Image.fromarray(LABELS, mode="P")
    image.putpalette(COLOURS)
    image.save(path, **options)


KINDS = {
    "grey.png": lambda path: Image.fromarray(LABELS).save(path),
    "16 bits.png": lambda path: Image.fromarray(LABELS.astype(np.uint16)).save(path),
    "palette.png": with_palette,
    "small palette.png": lambda path: with_palette(path, bits=2),
    "alpha.png": lambda path: Image.fromarray(LABELS).convert("LA").save(path),
    "three times grey.png": lambda path: Image.fromarray(np.stack([LABELS] * 3, -1)).save(path),
    "grey.bmp": lambda path: Image.fromarray(LABELS).save(path),
    "colours.bmp": lambda path: Image.fromarray(np.stack([LABELS] * 3, -1)).save(path),
    "palette.bmp": with_palette,
    "plain.tif": lambda path: tifffile.imwrite(path, LABELS),
    "packed.tif": lambda path: tifffile.imwrite(path, LABELS, compression="zlib"),
    "tiles.tif": lambda path: tifffile.imwrite(path, LABELS, tile=(16, 16)),
    "float16.tif": lambda path: tifffile.imwrite(path, LABELS.astype(np.float16)),
    "big endian.tif": lambda path: tifffile.imwrite(path, LABELS.astype(">u2"), byteorder=">"),
    "by ITK.tif": lambda path: write(path, LABELS),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_stored_values_are_the_labels(tmp_path, name):
    path = tmp_path / name
    KINDS[name](path)
    found = read_label_map(path)
    assert (found.labels == LABELS).all()
    assert found.spacing_mm == (1, 1)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_one_bit_is_0_or_1(tmp_path, name):
    mask = LABELS > 0
    path = tmp_path / name
    tifffile.imwrite(path, mask) if name == "a.tif" else Image.fromarray(mask).save(path)
    assert (read_label_map(path).labels == mask).all()


def test_four_bits_are_0_to_15(tmp_path):
    path = tmp_path / "a.png"
    rows = b"".join(b"\0" + bytes((a << 4) | b for a, b in LABELS.reshape(40, 25, 2)[row])
                    for row in range(40))  # fmt: skip
    path.write_bytes(png(rows, width=50, height=40, bits=4))
    assert (read_label_map(path).labels == LABELS).all()


def png(rows, width, height, bits):
    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_colours_are_no_label_map(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (5, 6, 3)).astype(np.uint8)).save(
        tmp_path / "a.png"
    )
    with pytest.raises(EvaluationError, match="several channels"):
        read_label_map(tmp_path / "a.png")


def test_a_stack_has_the_spacing_of_the_file_beside_it_and_no_printers(tmp_path):
    stack = np.stack([LABELS] * 4)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, stack, photometric="minisblack", resolution=(300, 300), resolutionunit="INCH"
    )
    assert read_label_map(path).spacing_mm == (1, 1, 1)
    (tmp_path / "a.json").write_text(json.dumps({"spacing": [5, 0.5, 0.25]}))
    found = read_label_map(path)
    assert (found.labels == stack).all()
    assert found.spacing_mm == (5, 0.5, 0.25)
    assert found.voxel_ml == pytest.approx(0.625 / 1000)
    (tmp_path / "a.json").write_text(json.dumps({"spacing": [5, 0]}))
    with pytest.raises(EvaluationError, match=r"a\.json: expected"):
        read_label_map(path)


@pytest.mark.parametrize("name", ["grey.png", "palette.png", "packed.tif"])
def test_no_flipped_bit_of_packed_pixels_changes_a_label(tmp_path, name):
    path = tmp_path / name
    KINDS[name](path)
    raw, rng = path.read_bytes(), np.random.default_rng(0)
    packed = raw.index(b"IDAT") if name.endswith("png") else len(raw) // 3
    refused = 0
    for place in rng.integers(packed, packed + 300, 25).tolist():
        damaged = bytearray(raw)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = read_image(path).array
        except EvaluationError:
            refused += 1
        else:  # a bit that deflate does not use
            assert (found == LABELS).all()
    assert refused > 10


@pytest.mark.parametrize("name", ["grey.png", "grey.bmp", "plain.tif", "packed.tif"])
def test_truncated_pictures_are_refused(tmp_path, name):
    path = tmp_path / name
    KINDS[name](path)
    raw = path.read_bytes()
    for rest in (0, 10, 60, len(raw) // 2):
        path.write_bytes(raw[:rest])
        with pytest.raises(EvaluationError) as found:
            read_image(path)
        assert len(str(found.value).splitlines()) == 1


def test_pictures_of_a_mask_and_of_its_bits_agree(tmp_path):
    for folder in ("ref", "pred"):
        (tmp_path / folder).mkdir()
    Image.fromarray(LABELS > 0).save(tmp_path / "ref/a.png")
    Image.fromarray((LABELS > 0).astype(np.uint8)).save(tmp_path / "pred/a.png")
    assert evaluation.evaluate_folders(tmp_path / "ref", tmp_path / "pred").mean("dice") == 1


def test_four_slices_that_tifffile_took_for_colours_are_slices(tmp_path):
    stack = np.stack([LABELS, LABELS, LABELS // 2, LABELS])
    with pytest.warns(DeprecationWarning, match="photometric"):
        tifffile.imwrite(tmp_path / "a.tif", stack)
    assert (read_label_map(tmp_path / "a.tif").labels == stack).all()
