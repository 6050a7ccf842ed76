"""Headers may name voxels beside themselves and nothing else."""

from __future__ import annotations

import os

import numpy as np
import pytest

from autoseg.errors import ImageError
from autoseg.images.files import read_image
from tests.images.made import EIGHT, meta_header, nrrd_header

FORMATS = {
    ".mhd": lambda names: meta_header(ElementDataFile=names).encode(),
    ".nrrd": lambda names: nrrd_header(data_file=names).encode().removesuffix(b"\n"),
}


def header(folder, ending, names):
    path = folder / f"a{ending}"
    path.write_bytes(FORMATS[ending](names))
    return path


@pytest.mark.parametrize("ending", FORMATS)
def test_voxels_beside_the_header_are_read(tmp_path, ending):
    (tmp_path / "voxels of a.raw").write_bytes(EIGHT)
    (tmp_path / "parts").mkdir()
    for index in range(2):
        (tmp_path / f"slice_{index + 3:02d}.raw").write_bytes(EIGHT[4 * index : 4 * index + 4])
        (tmp_path / f"parts/{index}.raw").write_bytes(EIGHT[4 * index : 4 * index + 4])
    for names in (
        "voxels of a.raw",
        "slice_%02d.raw 3 4 1",
        "LIST\nslice_03.raw\nslice_04.raw",
        "LIST\nparts/0.raw\nparts/1.raw\n",
    ):
        array, _ = read_image(header(tmp_path, ending, names))
        assert np.array_equal(array.ravel(), np.arange(8))


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("form", ["{}", "LIST\nok.raw\n{}", "{} 1 2 1"])
@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../secret.raw", "sub/../../secret.raw", "link.raw", "linked/secret.raw"],
)
def test_voxels_elsewhere_are_refused(tmp_path, ending, form, name):
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "secret.raw").write_bytes(EIGHT)
    (folder / "ok.raw").write_bytes(EIGHT[:4])
    os.symlink(tmp_path / "secret.raw", folder / "link.raw")
    os.symlink(tmp_path, folder / "linked")
    names = form.format(name)
    if names.endswith(" 1 2 1"):
        names = names.replace(".raw", "%d.raw") if ".raw" in names else f"{name}%d 1 2 1"
        os.symlink(tmp_path / "secret.raw", folder / "link1.raw")
    with pytest.raises(ImageError, match="names voxels outside its folder"):
        read_image(header(folder, ending, names))


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("none.raw", "are missing"),
        (".", "are missing"),
        ("a\x1b[31m.raw", r"outside its folder \('a\\x1b\[31m.raw'\)"),
        ("LIST", "is 'LIST'"),
        ("x%d.raw 1 2", "is 'x%d.raw 1 2'"),
        ("x%d.raw 1 2 0", "expected one number"),
        ("x%d%d.raw 1 2 1", "expected one number"),
        ("x%s.raw 1 2 1", "expected one number"),
        ("x%99999999d.raw 1 2 1", "expected one number"),
        ("x%d.raw 1 99999999999999999999999 1", "names 9+ files"),
    ],
)
def test_names_that_mean_no_file_are_refused(tmp_path, ending, names, said):
    with pytest.raises(ImageError, match=said):
        read_image(header(tmp_path, ending, names))


@pytest.mark.parametrize("ending", FORMATS)
def test_a_pipe_is_no_file(tmp_path, ending):
    os.mkfifo(tmp_path / "pipe.raw")
    with pytest.raises(ImageError, match="are missing"):
        read_image(header(tmp_path, ending, "pipe.raw"))


@pytest.mark.parametrize("ending", FORMATS)
def test_a_header_and_its_voxels_may_both_be_links_into_one_folder(tmp_path, ending):
    store, folder = tmp_path / "store", tmp_path / "data"
    store.mkdir()
    folder.mkdir()
    (store / "a.raw").write_bytes(EIGHT)
    header(store, ending, "a.raw")
    for name in ("a.raw", f"a{ending}"):
        os.symlink(store / name, folder / name)
    assert read_image(folder / f"a{ending}")[0].max() == 7


@pytest.mark.parametrize("ending", FORMATS)
def test_voxels_spread_unevenly_or_too_short_are_refused(tmp_path, ending):
    for index, size in enumerate((4, 3)):
        (tmp_path / f"{index}.raw").write_bytes(EIGHT[:size])
    with pytest.raises(ImageError, match=r"1.raw: cannot be read \(truncated"):
        read_image(header(tmp_path, ending, "LIST\n0.raw\n1.raw"))
    with pytest.raises(ImageError, match="not evenly spread over 3 files"):
        read_image(header(tmp_path, ending, "LIST\n0.raw\n1.raw\n0.raw"))
