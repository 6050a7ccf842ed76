"""Files that would block or end a program."""

from __future__ import annotations

import os

import numpy as np
import pytest

import evaluation
from evaluation.errors import EvaluationError
from evaluation.files.packed import check_plain
from tests.evaluation.conftest import write

LABELS = np.arange(60).reshape(3, 4, 5).astype(np.uint8) % 3


@pytest.mark.parametrize("ending", ["nii.gz", "nii", "mha", "nrrd", "png", "tif", "npz", "npy"])
def test_a_pipe_is_refused_and_does_not_hang(tmp_path, ending):
    write(tmp_path / "ref/a.nii.gz", LABELS)
    write(tmp_path / "pred/a.nii.gz", LABELS)
    more = {}
    if ending in ("npz", "npy"):
        more = {"probabilities": [tmp_path / "p"], "metrics": ["ece"]}
        (tmp_path / "p").mkdir()
        os.mkfifo(tmp_path / f"p/a.{ending}")
    else:
        (tmp_path / "pred/a.nii.gz").unlink()
        os.mkfifo(tmp_path / f"pred/a.{ending}")
    with pytest.raises(EvaluationError, match=rf"a\.{ending}: is no plain file"):
        evaluation.evaluate_folders(tmp_path / "ref", tmp_path / "pred", **more)


def test_a_pipe_of_classes_is_refused(tmp_path):
    os.mkfifo(tmp_path / "dataset.json")
    with pytest.raises(EvaluationError, match="is no plain file"):
        evaluation.read_classes(tmp_path / "dataset.json")


def test_a_name_that_is_not_utf_8_is_named(tmp_path):
    for folder in ("ref", "pred"):
        write(tmp_path / folder / "a.nii.gz", LABELS)
        path = os.fsencode(tmp_path / folder)
        os.rename(path + b"/a.nii.gz", path + b"/caf\xe9.nii.gz")
    with pytest.raises(EvaluationError, match=r"caf\\xe9\.nii\.gz: the name is not UTF-8") as found:
        evaluation.evaluate_folders(tmp_path / "ref", tmp_path / "pred")
    str(found.value).encode("ascii")


def test_links_are_followed_and_broken_ones_named(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    check_plain(tmp_path / "b")
    (tmp_path / "a").unlink()
    with pytest.raises(EvaluationError, match="b: no such file"):
        check_plain(tmp_path / "b")
