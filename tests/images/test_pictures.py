"""PNG, BMP and JPEG. The files are made by Pillow, or byte by byte as the PNG standard has it."""

from __future__ import annotations

import errno
import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from autoseg.errors import ImageError
from autoseg.images import claims
from autoseg.images.files import read_case, read_image, read_label_map, write_labels
from autoseg.images.plane import plane_geometry

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (7, 9), dtype=np.uint8)
COLOURS = RANDOM.integers(0, 256, (7, 9, 3), dtype=np.uint8)
LABELS = PIXELS % 3


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def png(rows, *, bits, colour, size=None, before=b"", interlaced=False) -> bytes:
    """A PNG file of rows of bytes, none of them filtered."""
    width, height = size
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    packed = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    parts = [chunk(b"IHDR", header), before, chunk(b"IDAT", packed), chunk(b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_of(array, colour: int) -> bytes:
    """A PNG file of an array of 8 or 16 bits."""
    rows = [row.astype(row.dtype.newbyteorder(">")).tobytes() for row in array]
    return png(rows, bits=array.dtype.itemsize * 8, colour=colour, size=array.shape[1::-1])


def palette_picture(labels, colours) -> Image.Image:
    picture = Image.fromarray(labels)
    picture.putpalette([value for colour in colours for value in colour])
    return picture


def test_a_grey_bmp_has_one_channel(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.bmp")
    array, geometry = read_image(tmp_path / "a.bmp")
    assert (array == PIXELS[None, None]).all()
    assert array.dtype == np.uint8
    assert geometry.spacing_mm == (999, 1, 1)
    assert geometry.dimensions == 2


@pytest.mark.parametrize("ending", [".png", ".bmp"])
def test_a_palette_gives_labels_their_index_and_images_their_colours(tmp_path, ending):
    colours = [(0, 0, 0), (255, 0, 0), (0, 200, 0)]
    palette_picture(LABELS, colours).save(tmp_path / f"a{ending}")
    assert (read_label_map(tmp_path / f"a{ending}")[0] == LABELS[None, None]).all()
    image = read_image(tmp_path / f"a{ending}")[0]
    assert image.shape == (3, 1, 7, 9)
    assert (np.moveaxis(image[:, 0], 0, -1) == np.asarray(colours)[LABELS]).all()


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("read", [read_image, read_label_map])
def test_a_pixel_of_one_bit_is_0_or_1(tmp_path, ending, read):
    Image.fromarray(PIXELS > 99).save(tmp_path / f"a{ending}")
    array = read(tmp_path / f"a{ending}")[0]
    assert array.dtype == np.uint8
    assert (array == (PIXELS > 99)[None, None]).all()


def test_grey_labels_of_two_and_four_bits_are_as_they_are_stored(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png([b"\x1b\x00"], bits=2, colour=GREY, size=(5, 1)))
    assert read_label_map(path)[0].tolist() == [[[[0, 1, 2, 3, 0]]]]
    assert read_image(path)[0].tolist() == [[[[0, 85, 170, 255, 0]]]]
    path.write_bytes(png([b"\x0f\x20"], bits=4, colour=GREY, size=(3, 1)))
    assert read_label_map(path)[0].tolist() == [[[[0, 15, 2]]]]


def test_labels_that_a_palette_hides_are_refused(tmp_path):
    palette_picture(LABELS, [(0, 0, 0), (1, 1, 1), (4, 4, 4)]).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"greys 0, 1, 4 for the indices 0, 1, 2: which are"):
        read_label_map(tmp_path / "a.png")
    palette_picture(LABELS, [(0, 0, 0), (127,) * 3, (255,) * 3]).save(tmp_path / "b.png")
    assert (read_label_map(tmp_path / "b.png")[0] == LABELS).all()


def test_a_constant_alpha_channel_does_not_count(tmp_path):
    alpha = np.full((7, 9), 255, dtype=np.uint8)
    Image.fromarray(np.dstack([PIXELS, alpha])).save(tmp_path / "grey.png")
    assert (read_image(tmp_path / "grey.png")[0] == PIXELS[None, None]).all()
    assert (read_label_map(tmp_path / "grey.png")[0] == PIXELS[None, None]).all()
    Image.fromarray(np.dstack([COLOURS, alpha])).save(tmp_path / "rgb.png")
    assert len(read_image(tmp_path / "rgb.png")[0]) == 4
    assert len(read_image(tmp_path / "rgb.png", num_channels=4)[0]) == 4
    image = read_image(tmp_path / "rgb.png", num_channels=3)[0]
    assert (np.moveaxis(image[:, 0], 0, -1) == COLOURS).all()
    assert read_case((tmp_path / "rgb.png",), num_channels=3)[0].shape == (3, 1, 7, 9)


def test_an_alpha_channel_that_varies_is_a_channel(tmp_path):
    Image.fromarray(np.dstack([PIXELS, LABELS])).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([COLOURS, LABELS])).save(tmp_path / "rgb.png")
    assert (read_image(tmp_path / "grey.png")[0][1, 0] == LABELS).all()
    assert len(read_image(tmp_path / "grey.png", num_channels=1)[0]) == 2
    assert len(read_image(tmp_path / "rgb.png", num_channels=3)[0]) == 4
    assert len(read_label_map(tmp_path / "grey.png")[0]) == 2


def test_three_equal_colours_are_one_grey_channel_where_one_is_wanted(tmp_path):
    Image.fromarray(np.dstack([LABELS] * 3)).save(tmp_path / "a.bmp")
    assert (read_label_map(tmp_path / "a.bmp")[0] == LABELS[None, None]).all()
    assert len(read_image(tmp_path / "a.bmp")[0]) == 3
    assert len(read_image(tmp_path / "a.bmp", num_channels=1)[0]) == 1
    Image.fromarray(COLOURS).save(tmp_path / "b.bmp")
    assert len(read_label_map(tmp_path / "b.bmp")[0]) == 3


@pytest.mark.parametrize(
    ("colour", "channels"), [(GREY, 1), (RGB, 3), (GREY_ALPHA, 2), (RGB_ALPHA, 4)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_all_bits_of_a_png_count(tmp_path, colour, channels, dtype):
    array = RANDOM.integers(0, np.iinfo(dtype).max, (7, 9, channels), dtype=dtype, endpoint=True)
    (tmp_path / "a.png").write_bytes(png_of(array, colour))
    image = read_image(tmp_path / "a.png")[0]
    assert image.dtype == dtype
    assert (np.moveaxis(image[:, 0], 0, -1) == array).all()


def test_interlaced_png_files_are_read(tmp_path):
    # First column and row, and distance of columns and rows, of the seven passes.
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    rows: list[bytes] = []
    for column, row, step_x, step_y in [*passes, (0, 1, 1, 2)]:
        part = PIXELS[row::step_y, column::step_x]
        rows += [line.tobytes() for line in part] if part.size else []
    path = tmp_path / "a.png"
    path.write_bytes(png(rows, bits=8, colour=GREY, size=(9, 7), interlaced=True))
    assert (read_image(path)[0] == PIXELS).all()


def test_what_tells_nothing_of_the_pixels_is_not_read(tmp_path, capfd):
    """A text that unpacks to 50 MB, a broken profile, transparent colours, a rotated camera."""
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by 90 degrees
    notes = [
        chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(50_000_000))),
        chunk(b"iCCP", b"profile\0\0nonsense"),
        chunk(b"PLTE", bytes(9)),
        chunk(b"tRNS", b"\0\5"),
        chunk(b"eXIf", exif.tobytes()[6:]),
    ]
    path = tmp_path / "a.png"
    rows = [row.tobytes() for row in PIXELS]
    path.write_bytes(png(rows, bits=8, colour=GREY, size=(9, 7), before=b"".join(notes)))
    array = read_image(path)[0]
    assert array.shape == (1, 1, 7, 9)
    assert (array == PIXELS).all()
    assert capfd.readouterr() == ("", "")


def test_every_changed_byte_of_a_png_is_found(tmp_path):
    data = png_of(PIXELS, GREY)
    path = tmp_path / "a.png"
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        with pytest.raises(ImageError, match=r"a\.png: "):
            read_image(path)


@pytest.mark.parametrize("name", ["a.png", "palette.png", "a.bmp", "jpeg.bmp"])
def test_truncated_pictures_are_refused_in_one_line(tmp_path, name, capfd):
    stream = io.BytesIO()
    picture = palette_picture(LABELS, [(0, 0, 9)] * 3) if "palette" in name else None
    kind = "JPEG" if "jpeg" in name else name[-3:].upper()
    (picture or Image.fromarray(COLOURS)).save(stream, kind)
    data = stream.getvalue()
    for share in (0, 0.1, 0.3, 0.6, 0.9, 0.99):
        (tmp_path / name).write_bytes(data[: int(share * len(data))])
        with pytest.raises(ImageError, match=r": (cannot be read as|is an empty file)") as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (zlib.compress(b"\0abc\0abc")[:-4], "Not enough"),
        (zlib.compress(b"\0abc\0abc")[:-4] + b"\0\0\0\0", "incorrect data check"),
        (zlib.compress(b"\0abc"), "Not enough"),
    ],
)
def test_packed_pixels_are_checked_to_their_end(tmp_path, packed, reason):
    data = png([], bits=8, colour=GREY, size=(3, 2))
    wrong = data.replace(chunk(b"IDAT", zlib.compress(b"")), chunk(b"IDAT", packed))
    (tmp_path / "a.png").write_bytes(wrong)
    with pytest.raises(ImageError, match=reason):
        read_image(tmp_path / "a.png")


def test_animated_png_files_are_refused(tmp_path):
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="it is animated"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(60_000, 60_000), (1_000_000, 1_000_000)])
def test_small_files_that_claim_gigabytes_are_refused(tmp_path, size):
    (tmp_path / "a.png").write_bytes(png([bytes(600)], bits=8, colour=GREY, size=size))
    with pytest.raises(ImageError, match="more than 200 times as much. If that is right, save it"):
        read_image(tmp_path / "a.png")
    with pytest.raises(ImageError, match="more than 1000 times as much"):
        read_label_map(tmp_path / "a.png")


def test_what_does_not_fit_into_the_memory_is_refused(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(tmp_path / "a.bmp")
    monkeypatch.setattr(claims, "memory_bytes", lambda: 2 * 63)
    read_image(tmp_path / "a.png")
    monkeypatch.setattr(claims, "memory_bytes", lambda: 2 * 63 - 1)
    for name in ("a.png", "a.bmp"):
        with pytest.raises(ImageError, match="this machine has 0.0 GB"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "palette.png", "a.bmp"])
def test_large_pictures_are_no_bombs(tmp_path, monkeypatch, name):
    """Pillow refuses what has more than 179 million pixels; here, more than two."""
    palette_picture(LABELS, [(0, 0, 9)] * 3).save(tmp_path / "palette.png")
    for ending in ("png", "bmp"):
        Image.fromarray(PIXELS).save(tmp_path / f"a.{ending}")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    assert read_label_map(tmp_path / name)[0].shape == (1, 1, 7, 9)


def test_the_content_counts_not_the_ending(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.bmp", format="PNG")
    Image.fromarray(PIXELS).save(tmp_path / "a.tif", format="PNG")
    Image.fromarray(PIXELS).save(tmp_path / "a.png", format="TIFF")
    for name in ("a.bmp", "a.tif", "a.png"):
        assert (read_image(tmp_path / name)[0] == PIXELS).all()
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(ImageError, match="begins with the bytes 6e 6f 20 .* no PNG, BMP or TIFF"):
        read_image(tmp_path / "b.png")


def test_a_jpeg_is_an_image_but_no_label_map(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.png", format="JPEG")
    expected = np.asarray(Image.open(tmp_path / "a.png"))
    assert (np.moveaxis(read_image(tmp_path / "a.png")[0][:, 0], 0, -1) == expected).all()
    with pytest.raises(ImageError, match="a JPEG changes labels. Export the label map as PNG"):
        read_label_map(tmp_path / "a.png")
    Image.fromarray(np.dstack([COLOURS, PIXELS]), "CMYK").save(tmp_path / "b.png", format="JPEG")
    with pytest.raises(ImageError, match="its pixels are CMYK; grey and RGB are supported"):
        read_image(tmp_path / "b.png")


@pytest.mark.parametrize(
    ("name", "dtype"), [("a.png", np.uint8), ("a.png", np.uint16), ("a.bmp", np.uint8)]
)
def test_label_maps_are_written_for_every_program(tmp_path, name, dtype):
    labels = RANDOM.integers(0, np.iinfo(dtype).max, (1, 7, 9), dtype=dtype, endpoint=True)
    write_labels(tmp_path / name, labels, plane_geometry(7, 9))
    assert (np.asarray(Image.open(tmp_path / name)) == labels[0]).all()
    assert (read_label_map(tmp_path / name)[0][0] == labels).all()


def test_formats_say_what_they_cannot_hold(tmp_path):
    plane = plane_geometry(7, 9)
    with pytest.raises(ImageError, match=r"above 255 do not fit .* use \.nii\.gz"):
        write_labels(tmp_path / "a.bmp", np.zeros((1, 7, 9), np.uint16), plane)
    with pytest.raises(ImageError, match=r"PNG holds one slice, the label map has 2"):
        write_labels(tmp_path / "a.png", np.zeros((2, 7, 9), np.uint8), plane)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_a_full_disk_leaves_no_file(tmp_path, name, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImageError, match=rf"{name}: cannot be written \(No space left on device\)"):
        write_labels(tmp_path / name, LABELS[None], plane_geometry(7, 9))
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_written_whole_is_not_kept(tmp_path, monkeypatch):
    original = Image.Image.save

    def save(picture, path, **options):
        original(picture, path, **options)
        path.write_bytes(path.read_bytes()[:-20])

    (tmp_path / "a.png").write_bytes(b"earlier")
    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(ImageError, match="it came back otherwise than it was written"):
        write_labels(tmp_path / "a.png", LABELS[None], plane_geometry(7, 9))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"earlier"]


def test_files_that_may_not_be_read_are_said(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")

    def denied(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", denied)
    with pytest.raises(ImageError, match=r"a\.png: cannot be read \(Permission denied\)"):
        read_image(tmp_path / "a.png")
