"""TIFF. The arrays are the truth; Pillow and SimpleITK, which share no code with us, write too."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from autoseg.errors import ImageError
from autoseg.images import claims
from autoseg.images.files import read_case, read_image, read_label_map, write_labels
from autoseg.images.plane import plane_geometry
from tests.conftest import make_geometry

RANDOM = np.random.default_rng(0)
VOLUME = RANDOM.integers(0, 256, (5, 20, 30), dtype=np.uint8)
COLOURS = RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8)
PLANE = VOLUME[0]


def write(path, array, **options):
    tifffile.imwrite(path, array, **options)
    return path


def read(path, array, **options):
    return read_image(write(path, array, **options))[0]


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8", ">u2", ">f4", ">f2"]
)
def test_all_number_types_are_read_as_they_are(tmp_path, dtype):
    array = (VOLUME.astype(np.float64) / 2).astype(dtype)
    order = ">" if dtype.startswith(">") else "<"
    found = read(tmp_path / "a.tif", array, byteorder=order)
    assert (found == array[None]).all()
    assert found.dtype == np.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (16, 16)},
        {"tile": (16, 16), "compression": "zlib"},
        {"volumetric": True, "tile": (16, 16, 16)},
        {"compression": "zlib"},
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True},
        {"compression": "zstd"},
        {"compression": "packbits"},
        {"compression": "lzma"},
        {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">", "compression": "lzw"},
        {"rowsperstrip": 3},
        {"metadata": None},
        {"imagej": True},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"photometric": "miniswhite"},
    ],
    ids=str,
)
def test_all_layouts_are_read(tmp_path, options):
    assert (read(tmp_path / "a.tif", VOLUME, **options) == VOLUME[None]).all()
    flat = {key: item for key, item in options.items() if key not in ("volumetric", "metadata")}
    if "volumetric" not in options:
        assert (read(tmp_path / "b.tiff", PLANE, **flat) == PLANE[None, None]).all()


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_files_of_pillow_and_itk_are_read(tmp_path, compression):
    pages = [Image.fromarray(plane) for plane in VOLUME]
    pages[0].save(
        tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression=compression
    )
    assert (read_image(tmp_path / "a.tif")[0] == VOLUME[None]).all()
    Image.fromarray(COLOURS).save(tmp_path / "b.tif", compression=compression)
    assert (np.moveaxis(read_image(tmp_path / "b.tif")[0][:, 0], 0, -1) == COLOURS).all()
    volume = sitk.GetImageFromArray(VOLUME.astype(np.float32))
    volume.SetSpacing((0.5, 0.5, 5))
    sitk.WriteImage(volume, str(tmp_path / "c.tif"), useCompression=compression is not None)
    array, geometry = read_image(tmp_path / "c.tif")
    assert (array == VOLUME[None]).all()
    assert geometry.spacing_mm == (1, 1, 1)


@pytest.mark.parametrize("separate", [False, True])
def test_colours_are_channels_on_one_page_and_on_many(tmp_path, separate):
    stack = np.stack([COLOURS, 255 - COLOURS])
    options = {"photometric": "rgb", "planarconfig": "separate" if separate else "contig"}
    for pages in (COLOURS, stack):
        written = np.moveaxis(pages, -1, -3) if separate else pages
        found = read(tmp_path / "a.tif", written, **options)
        assert found.shape == (3, *pages.reshape(-1, 20, 30, 3).shape[:3])
        assert (np.moveaxis(found, 0, -1) == pages).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tifffile")
@pytest.mark.parametrize("count", [3, 4])
def test_volumes_of_three_slices_are_volumes_where_one_channel_is_wanted(tmp_path, count):
    """Tifffile, and nnU-Net with it, stores them as separate colours."""
    path = write(tmp_path / "a.tif", VOLUME[:count], compression="zlib")
    assert (read_label_map(path)[0] == VOLUME[None, :count]).all()
    assert (read_image(path, num_channels=1)[0] == VOLUME[None, :count]).all()
    assert read_image(path)[0].shape == (count, 1, 20, 30)


@pytest.mark.parametrize("count", [2, 5])
def test_samples_of_a_pixel_are_channels(tmp_path, count):
    array = RANDOM.integers(0, 256, (20, 30, count), dtype=np.uint8)
    found = read(tmp_path / "a.tif", array, photometric="minisblack", planarconfig="contig")
    assert (found[:, 0] == np.moveaxis(array, -1, 0)).all()


def test_a_constant_second_sample_counts_unless_it_is_alpha(tmp_path):
    array = np.dstack([PLANE, np.full_like(PLANE, 255)])
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    assert len(read(tmp_path / "a.tif", array, **options)) == 2
    assert len(read(tmp_path / "b.tif", array, extrasamples=["unassalpha"], **options)) == 1
    assert len(read_image(tmp_path / "b.tif", num_channels=2)[0]) == 2
    assert len(read_label_map(tmp_path / "a.tif")[0]) == 1


@pytest.mark.parametrize("compression", [None, "group4"])
def test_one_bit_is_0_or_1(tmp_path, compression):
    if compression and not hasattr(imagecodecs, "ccittfax4_decode"):
        pytest.skip("this version of imagecodecs cannot unpack it")
    Image.fromarray(PLANE > 99).save(tmp_path / "a.tif", compression=compression)
    assert (read_label_map(tmp_path / "a.tif")[0] == (PLANE > 99)[None, None]).all()
    stack = read(tmp_path / "b.tif", VOLUME > 99)
    assert (stack == (VOLUME > 99)[None]).all()
    assert stack.dtype == np.uint8


def test_a_palette_gives_its_index(tmp_path):
    picture = Image.fromarray(PLANE % 3)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(tmp_path / "a.tif")
    for found in (read_image(tmp_path / "a.tif")[0], read_label_map(tmp_path / "a.tif")[0]):
        assert (found == (PLANE % 3)[None, None]).all()


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_channels_of_a_volume_are_channels(tmp_path, kind):
    array = np.stack([VOLUME, 255 - VOLUME], axis=1)
    options = {kind: True, "metadata": {"axes": "ZCYX"}}
    assert (read(tmp_path / "a.tif", array, **options) == array.swapaxes(0, 1)).all()


def test_channels_of_a_plane_are_slices_unless_so_many_channels_are_wanted(tmp_path):
    path = write(tmp_path / "a.tif", VOLUME, imagej=True, metadata={"axes": "CYX"})
    assert read_image(path)[0].shape == (1, 5, 20, 30)
    assert read_image(path, num_channels=1)[0].shape == (1, 5, 20, 30)
    assert read_image(path, num_channels=5)[0].shape == (5, 1, 20, 30)
    assert read_case((path,), num_channels=5)[1].dimensions == 2


@pytest.mark.parametrize(
    ("array", "options", "reason"),
    [
        (np.stack([VOLUME] * 3), {}, r"axes are QQYX \(3, 5, 20, 30\); one volume"),
        (
            np.stack([VOLUME] * 3),
            {"imagej": True, "metadata": {"axes": "TZYX"}},
            "one volume is expected",
        ),
        (np.dstack([COLOURS, PLANE]), {"photometric": "separated"}, "colours are SEPARATED"),
        (COLOURS, {"photometric": "cielab"}, "colours are CIELAB"),
    ],
    ids=["4D", "time", "CMYK", "Lab"],
)
def test_other_kinds_are_refused(tmp_path, array, options, reason):
    with pytest.raises(ImageError, match=reason):
        read(tmp_path / "a.tif", array, **options)


def test_several_images_are_refused_but_thumbnails_are_not(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(PLANE, metadata=None)
        writer.write(PLANE[::4, ::4], metadata=None, subfiletype=1)
    assert (read_image(tmp_path / "a.tif")[0] == PLANE).all()
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        writer.write(PLANE, metadata=None)
        writer.write(PLANE[:9], metadata=None)
    with pytest.raises(ImageError, match=r"several images, \(20, 30\) and \(9, 30\); save one"):
        read_image(tmp_path / "b.tif")


@pytest.mark.filterwarnings("ignore:.*reading array from closed file")
def test_no_other_file_is_read(tmp_path):
    """An OME description names files; what lies there is no part of this one."""
    options = {"ome": True, "metadata": {"axes": "YX"}, "compression": "zlib"}
    path = write(tmp_path / "a.tif", PLANE, **options)
    write(tmp_path / "b.tif", 255 - PLANE, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages[0].tags["ImageDescription"]
        other = '<TiffData IFD="0" PlaneCount="1"><UUID FileName="b.tif">other</UUID></TiffData>'
        tag.overwrite(tag.value.replace('<TiffData IFD="0" PlaneCount="1"/>', other))
    assert (tifffile.imread(path) == 255 - PLANE).all()
    assert (read_image(path)[0] == PLANE[None, None]).all()


def test_resolution_of_printers_is_no_spacing(tmp_path):
    printer = {"resolution": (300, 300), "resolutionunit": "INCH"}
    geometry = read_image(write(tmp_path / "a.tif", VOLUME, **printer))[1]
    assert geometry.spacing_mm == (1, 1, 1)
    assert geometry.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert read_image(write(tmp_path / "b.tif", PLANE, **printer))[1].spacing_mm == (999, 1, 1)
    microscope = {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 5, "unit": "um"}}
    path = write(tmp_path / "c.tif", VOLUME, resolution=(2, 2), **microscope)
    assert read_image(path)[1].spacing_mm == (1, 1, 1)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.95])
@pytest.mark.parametrize(
    "options",
    [
        {"metadata": None},
        {"compression": "zlib"},
        {"compression": "lzw"},
        {"compression": "zlib", "metadata": None},
        {"tile": (16, 16)},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
    ],
    ids=str,
)
def test_truncated_files_are_refused_in_one_line(tmp_path, options, share, capfd):
    path = write(tmp_path / "a.tif", VOLUME, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ImageError, match=r"a\.tif: cannot be read as TIFF \(.*again") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_lost_slices_are_missed(tmp_path):
    """A chain of pages that ends early, or turns back, is not a shorter volume."""
    path = write(tmp_path / "a.tif", VOLUME, compression="zlib", metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        starts = [page.offset for page in file.pages]
    (num_tags,) = struct.unpack_from("<H", data, starts[2])
    for value, reason in ((len(data) + 8, "truncated at page 4"), (starts[1], "an earlier one")):
        struct.pack_into("<I", data, starts[2] + 2 + 12 * num_tags, value)
        path.write_bytes(data)
        with pytest.raises(ImageError, match=reason):
            read_image(path)


def test_a_stack_that_lost_all_pages_but_one_is_no_picture(tmp_path):
    path = write(tmp_path / "a.tif", VOLUME, imagej=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as file:
        first = file.pages[0]
        (num_tags,) = struct.unpack_from("<H", path.read_bytes(), first.offset)
        end = first.dataoffsets[0] + first.nbytes
    data = bytearray(path.read_bytes()[:end])
    struct.pack_into("<I", data, first.offset + 2 + 12 * num_tags, 0)
    path.write_bytes(data)
    with pytest.raises(ImageError, match="truncated: ImageJ wrote 5 slices, one is there"):
        read_image(path)


@pytest.mark.parametrize("tag", ["StripByteCounts", "StripOffsets"])
def test_empty_strips_are_missing_ones(tmp_path, tag):
    path = write(tmp_path / "a.tif", PLANE, compression="lzw", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags[tag].overwrite([0])
    with pytest.raises(ImageError, match="truncated: parts of page 0 are missing"):
        read_image(path)


def test_every_changed_byte_of_deflated_pixels_is_found(tmp_path):
    path = write(tmp_path / "a.tif", PLANE, compression="zlib")
    with tifffile.TiffFile(path) as file:
        start, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    data = path.read_bytes()
    for position in range(start, start + count, 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        try:
            assert (read_image(path)[0] == PLANE).all()  # a bit that only packers look at
        except ImageError:
            continue


def test_small_files_that_claim_gigabytes_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", PLANE, compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in ("ImageLength", "ImageWidth", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(60_000)
    with pytest.raises(ImageError, match=r"claim to hold 3\.6 GB .* 200 times"):
        read_image(path)


def test_one_strip_for_many_pages_is_one_claim_each(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", VOLUME, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        offset = file.pages[0].dataoffsets[0]
        for page in file.pages[1:]:
            page.tags["StripOffsets"].overwrite([offset])
    monkeypatch.setattr(claims, "ALWAYS_ALLOWED_BYTES", 0)
    monkeypatch.setattr(claims, "MOST_TIMES_IMAGE", 0.5)
    with pytest.raises(ImageError, match="claim to hold"):
        read_image(path)
    monkeypatch.setattr(claims, "memory_bytes", lambda: 2 * VOLUME.nbytes - 1)
    monkeypatch.setattr(claims, "MOST_TIMES_IMAGE", 2)
    with pytest.raises(ImageError, match="this machine has"):
        read_image(path)


def test_damaged_headers_are_refused_or_read_but_never_crash(tmp_path, capfd):
    """One to three wrong bytes in the first 400 of 300 files."""
    generator = np.random.default_rng(1)
    kinds = [{}, {"compression": "zlib"}, {"imagej": True}, {"ome": True}, {"tile": (16, 16)}]
    path = tmp_path / "a.tif"
    files = [write(path, VOLUME, **options).read_bytes() for options in kinds]
    refused = []
    for index in range(300):
        data = bytearray(files[index % len(files)])
        for _ in range(generator.integers(1, 4)):
            data[generator.integers(8, 400)] = generator.choice([0, 1, 127, 255])
        path.write_bytes(data)
        try:
            read_image(path)
        except ImageError as error:
            refused.append(len(str(error)))
    assert len(refused) > 50
    assert max(refused) < 300
    assert capfd.readouterr() == ("", "")


def test_a_label_map_is_written_with_its_spacing_beside_it(tmp_path):
    geometry = make_geometry((5, 20, 30))
    labels = VOLUME % 7
    write_labels(tmp_path / "a.tif", labels, geometry)
    assert (tmp_path / "a.json").read_text() == '{"spacing": [1.5, 1.0, 1.0]}'
    found, found_geometry = read_label_map(tmp_path / "a.tif")
    assert (found[0] == labels).all()
    assert found.dtype == np.uint8
    assert found_geometry == geometry
    assert (sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.tif"))) == labels).all()
    pages = [np.asarray(Image.open(tmp_path / "a.tif"))]
    assert (pages[0] == labels[0]).all()
    assert tifffile.imread(tmp_path / "a.tif").shape == (5, 20, 30)  # what nnU-Net asks for


def test_a_volume_of_one_slice_stays_a_volume(tmp_path):
    geometry = make_geometry((1, 20, 30))
    write_labels(tmp_path / "a.tif", VOLUME[:1], geometry)
    assert read_label_map(tmp_path / "a.tif")[1] == geometry
    (tmp_path / "a.json").unlink()
    assert read_label_map(tmp_path / "a.tif")[1].dimensions == 2


def test_a_2d_label_map_has_no_spacing(tmp_path):
    write_labels(tmp_path / "a.tif", VOLUME[:1], plane_geometry(20, 30))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    assert read_label_map(tmp_path / "a.tif")[1] == plane_geometry(20, 30)
    (tmp_path / "a.json").write_text('{"shapes": "what an annotation program wrote"}')
    assert read_image(tmp_path / "a.tif")[1] == plane_geometry(20, 30)


@pytest.mark.parametrize(("last", "dtype"), [(255, "u1"), (65535, "u2"), (70000, "u4")])
def test_labels_of_any_size_are_written(tmp_path, last, dtype):
    labels = np.full((5, 20, 3), last, dtype=np.int32 if last > 65535 else dtype)
    write_labels(tmp_path / "a.tif", labels, make_geometry((5, 20, 3)))
    found = read_label_map(tmp_path / "a.tif")[0]
    assert found.dtype == dtype
    assert (found[0] == last).all()


def test_negative_labels_are_refused(tmp_path):
    labels = np.full((5, 20, 30), -1, dtype=np.int32)
    with pytest.raises(ImageError, match=r"holds the labels -1 to -1; TIFF takes 0 to 4294967295"):
        write_labels(tmp_path / "a.tif", labels, make_geometry((5, 20, 30)))
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_written_whole_is_not_kept(tmp_path, monkeypatch):
    original = tifffile.imwrite

    def cut(path, array, **options):
        original(path, array, **options)
        path.write_bytes(path.read_bytes()[:-200])

    monkeypatch.setattr(tifffile, "imwrite", cut)
    with pytest.raises(ImageError, match=r"a\.tif: cannot be written"):
        write_labels(tmp_path / "a.tif", VOLUME, make_geometry((5, 20, 30)))
    assert not (tmp_path / "a.tif").exists()
    assert not list(tmp_path.glob(".*"))
