"""Spacing files have nnU-Net's names: `case.json` for `case_0000.tif` and for `case.tif`."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from autoseg.errors import ImageError
from autoseg.images.files import read_case, read_image, read_label_map, write_labels
from autoseg.images.spacing_file import find_spacing_file
from tests.conftest import make_geometry


@pytest.fixture
def stack(tmp_path):
    """Writes a 3D TIFF of a name."""

    def write(name):
        tifffile.imwrite(tmp_path / name, np.ones((6, 4, 5), np.uint8))
        return tmp_path / name

    return write


def put(path, spacing):
    path.write_text(json.dumps({"spacing": spacing}))


def test_all_channels_of_a_case_have_its_spacing(tmp_path, stack):
    paths = (stack("a_0000.tif"), stack("a_0001.tif"))
    put(tmp_path / "a.json", [5, 0.5, 0.25])
    for path in paths:
        assert read_image(path)[1].spacing_mm == (5, 0.5, 0.25)
    assert read_case(paths)[1].spacing_mm == (5, 0.5, 0.25)
    assert read_label_map(stack("a.TIFF"))[1].spacing_mm == (5, 0.5, 0.25)


def test_a_label_map_has_no_channel_number(tmp_path, stack):
    put(tmp_path / "scan.json", [5, 5, 5])
    assert read_label_map(stack("scan_2021.tif"))[1].spacing_mm == (1, 1, 1)
    put(tmp_path / "scan_2021.json", [2, 2, 2])
    assert read_label_map(stack("scan_2021.tif"))[1].spacing_mm == (2, 2, 2)
    assert read_image(stack("scan_2021.tif"))[1].spacing_mm == (2, 2, 2)


def test_without_a_file_the_spacing_is_1(tmp_path, stack):
    assert find_spacing_file(stack("a_0000.tif")) is None
    assert read_image(stack("a_0000.tif"))[1].spacing_mm == (1, 1, 1)
    put(tmp_path / "b.json", [5, 5, 5])
    assert read_image(stack("a_0000.tif"))[1].spacing_mm == (1, 1, 1)


def test_notes_of_other_programs_beside_a_channel_are_passed_over(tmp_path, stack):
    (tmp_path / "a_0000.json").write_text('{"shapes": []}')
    put(tmp_path / "a.json", [5, 1, 1])
    assert read_image(stack("a_0000.tif"))[1].spacing_mm == (5, 1, 1)


WRONG = (None, 5, "5, 1, 1", {"z": 1}, [1, 1], [1, 1, 1, 1], [1, 0, 1], [1, -1, 1], [[1], 1, 1])
WRONG += ([1, True, 1], ["1", 1, 1], [1, float("nan"), 1], [1, float("inf"), 1], [10**400, 1, 1])


@pytest.mark.parametrize("spacing", WRONG, ids=lambda value: str(value)[:20])
def test_other_values_are_refused(tmp_path, stack, spacing):
    put(tmp_path / "a.json", spacing)
    with pytest.raises(ImageError, match=r"a\.json: the spacing is .*three positive numbers") as e:
        read_image(stack("a_0000.tif"))
    assert len(str(e.value)) < 300


@pytest.mark.parametrize("text", ["{}", '{"Spacing": [1, 1, 1]}', "[1, 1, 1]", "{", "[" * 10**5])
def test_other_files_are_refused(tmp_path, stack, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ImageError, match=r"a\.json: has no key 'spacing'; expected .*elsewhere"):
        read_image(stack("a_0000.tif"))


def test_only_spacing_files_are_replaced(tmp_path):
    labels, geometry = np.ones((3, 4, 5), np.uint8), make_geometry((3, 4, 5))
    put(tmp_path / "a.json", [9, 9, 9])
    write_labels(tmp_path / "a.tif", labels, geometry)
    assert json.loads((tmp_path / "a.json").read_text()) == {"spacing": [1.5, 1, 1]}
    (tmp_path / "b.json").write_text('{"spacing": [1, 1, 1], "note": "mine"}')
    with pytest.raises(ImageError, match=r"b\.json: the spacing of b\.tif belongs here, but this"):
        write_labels(tmp_path / "b.tif", labels, geometry)
    assert not (tmp_path / "b.tif").exists()
