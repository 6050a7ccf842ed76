from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.errors import ImageError
from autoseg.preprocessing.raters import encode_labels, majority, read_raters, read_reference
from autoseg.schema.dataset import Case
from autoseg.schema.labels import LabelClass, LabelScheme
from tests.conftest import SCHEME

IGNORING = LabelScheme(classes=SCHEME.classes, ignore=7)


def write(path, rows):
    sitk.WriteImage(sitk.GetImageFromArray(np.array([rows], dtype=np.uint8)), str(path))
    return path


def test_a_tie_of_raters_goes_to_the_foreground_and_there_to_the_lower_index():
    maps = [np.array([1, 1, 0, 2]), np.array([0, 0, 0, 1])]
    assert majority(maps, SCHEME).tolist() == [1, 1, 0, 1]


def test_most_votes_win():
    maps = [np.array([1, 0, 2]), np.array([0, 0, 2]), np.array([0, 1, 1])]
    assert majority(maps, SCHEME).tolist() == [0, 0, 2]


def test_who_ignores_a_voxel_has_no_vote_there():
    # Index 3 is the ignore label: votes of {-, -, 1}, {-, 0, 0}, {-, -, -}, {-, 1, 2}.
    maps = np.array([[3, 3, 3, 3], [3, 0, 3, 1], [1, 0, 3, 2]], dtype=np.uint8)
    assert majority(maps, IGNORING).tolist() == [1, 0, 3, 1]


def test_more_than_255_raters_are_counted():
    maps = np.concatenate([np.ones((300, 1), np.uint8), np.full((299, 1), 2, np.uint8)])
    assert majority(maps, SCHEME).tolist() == [1]


def test_all_label_maps_are_read_in_the_order_of_the_raters(tmp_path):
    raters = {
        "b": write(tmp_path / "b.nii.gz", [[0, 1]]),
        "a": write(tmp_path / "a.nii.gz", [[2, 7]]),
    }
    case = Case(identifier="c", images=(), raters=raters)
    assert read_raters(case, IGNORING)[:, 0, 0].tolist() == [[0, 1], [2, 3]]
    assert read_reference(case, IGNORING)[0, 0].tolist() == [2, 1]


def test_a_reference_of_raters_is_written_with_the_ignore_label_as_it_was(tmp_path):
    raters = {name: write(tmp_path / f"{name}.nii.gz", [[7, 2, 7]]) for name in "ab"}
    raters["c"] = write(tmp_path / "c.nii.gz", [[7, 2, 1]])
    case = Case(identifier="c", images=(), raters=raters)
    reference = read_reference(case, IGNORING)
    assert IGNORING.decode(reference)[0, 0].tolist() == [7, 2, 1]


def test_raters_whose_maps_differ_in_shape_are_named_by_their_case(tmp_path):
    raters = {"a": write(tmp_path / "a.png", [0, 1]), "b": write(tmp_path / "b.png", [0, 1, 1])}
    scheme = LabelScheme(classes=(LabelClass(name="x", values=(1,)),))
    with pytest.raises(ImageError, match="Case 'c': the raters' label maps differ in shape"):
        read_raters(Case(identifier="c", images=(), raters=raters), scheme)


@pytest.mark.parametrize("values", [[1.0000001, 0, 2], [0.99999, 1e-7, 2.00002]])
def test_labels_that_rounding_made_of_integers_are_integers(tmp_path, values):
    array = np.array([[[values]]], dtype=np.float32)
    assert encode_labels(array, tmp_path / "a.mha", SCHEME).tolist() == [[[1, 0, 2]]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.9990001, 0], r"holds the value 1\.99900007; labels are integers"),
        ([1.001, 0], r"holds the value 1\.00100005"),
        ([0, np.nan], "holds NaN or infinity"),
        ([0, np.inf], "holds NaN or infinity"),
        ([0, -1], "unknown label value -1; dataset.json knows 0, 1, 2"),
        ([9, 8], "unknown label value 8, 9"),
        ([1j, 0], "holds complex"),
    ],
)
def test_what_is_no_label_is_refused_with_its_value(tmp_path, values, message):
    array = np.array([[[values]]])
    array = array.astype(np.complex64 if array.dtype.kind == "c" else np.float32)
    with pytest.raises(ImageError, match=message):
        encode_labels(array, tmp_path / "a.mha", SCHEME)
