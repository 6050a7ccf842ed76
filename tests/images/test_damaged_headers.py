"""Whatever stands in a header, reading ends with an image or with an error of one line."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from autoseg.errors import ImageError
from autoseg.images.faults import grid_differences, image_faults, image_warnings
from autoseg.images.files import read_image, write_labels
from tests.images.made import affine, turned, write_itk, write_nifti

RUNS = 300
KINDS = (".nii", "2.nii", ".nrrd", ".mha")
WORDS = (b"nan", b"inf", b"-1", b"0", b"1e999", b"9" * 30, b"LIST", b"%d", b"\n", b"none", b"(")


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    matrix = affine(rotation=turned())
    found = {}
    for version, name in ((1, ".nii"), (2, "2.nii")):
        path = write_nifti(folder / f"a{name}", sform=matrix, qform=affine(), version=version)
        found[name] = path.read_bytes()
    for ending in (".nrrd", ".mha"):
        path = write_itk(folder / f"a{ending}", np.zeros((7, 6, 5), np.uint8))
        found[ending] = path.read_bytes()
    return found


def read(path: Path, target: Path) -> None:
    """What planning and prediction do with an image."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            array, geometry = read_image(path)
        except ImageError as error:
            message = str(error).replace(str(path), "")
            assert message.isprintable()  # and so one line
            assert len(message) <= 300
            return
        image_faults(array, geometry, path)
        image_warnings(array, geometry, path)
        grid_differences(geometry, geometry, path)
        assert array.shape[1:] == geometry.shape
        assert all(0 < step < np.inf for step in geometry.spacing_mm)
        write_labels(target, np.zeros(geometry.shape, np.uint8), geometry)


@pytest.mark.parametrize("kind", KINDS)
def test_no_bytes_in_a_header_end_in_anything_but_an_error(tmp_path, originals, kind):
    original = originals[kind]
    header = min(544, len(original)) if "nii" in kind else 200
    changes = st.lists(
        st.tuples(
            st.integers(0, header - 1),
            st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(WORDS)),
        ),
        min_size=1,
        max_size=4,
    )

    @seed(0)
    @settings(max_examples=RUNS, database=None)
    @given(changes)
    def run(edits):
        content = bytearray(original)
        for place, part in edits:
            content[place : place + len(part)] = part
        path = tmp_path / f"a{kind[-4:] if 'nii' in kind else kind}"
        path.write_bytes(content)
        read(path, tmp_path / f"b{kind[-4:] if 'nii' in kind else kind}")

    run()


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_no_value_of_a_field_ends_in_anything_but_an_error(tmp_path, originals, ending):
    lines = originals[ending].split(b"\n")
    known = [i for i, line in enumerate(lines[:14]) if (b": " in line or b" = " in line)]
    values = st.lists(
        st.one_of(
            st.sampled_from(WORDS), st.floats(width=32).map(lambda x: b"%g" % x),
            st.integers(-(2**70), 2**70).map(lambda x: b"%d" % x),
        ),
        max_size=5,
    )  # fmt: skip

    @seed(0)
    @settings(max_examples=RUNS, database=None)
    @given(st.sampled_from(known), values)
    def run(index, parts):
        changed = list(lines)
        separator = b": " if ending == ".nrrd" else b" = "
        changed[index] = lines[index].split(separator)[0] + separator + b" ".join(parts)
        path = tmp_path / f"a{ending}"
        path.write_bytes(b"\n".join(changed))
        read(path, tmp_path / f"b{ending}")

    run()
