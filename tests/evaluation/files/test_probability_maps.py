"""Probabilities as programs write them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

import evaluation
from evaluation.files.probability_maps import ProbabilityMap, list_probabilities
from evaluation.labels import Classes
from evaluation.metrics import choose
from evaluation.scoring import case as case_module
from evaluation.settings import Settings
from tests.evaluation.conftest import write

CLASSES = Classes(members={"one": (1,), "two": (2,)})


@pytest.mark.parametrize("kind", ["npz", "npy", "fortran", "nii.gz", "vector", "classes"])
def test_probabilities_are_read_from_what_programs_write(made, tmp_path, kind):
    values, labels = made
    if kind == "npz":
        np.savez_compressed(tmp_path / "a.npz", probabilities=values.astype(np.float16))
    elif kind in ("npy", "fortran"):
        order = np.asfortranarray(values) if kind == "fortran" else values
        np.save(tmp_path / "a.npy", order)
    elif kind == "nii.gz":
        sitk.WriteImage(sitk.GetImageFromArray(values, isVector=False), str(tmp_path / "a.nii.gz"))
    elif kind == "vector":
        image = sitk.GetImageFromArray(np.moveaxis(values, 0, -1), isVector=True)
        sitk.WriteImage(image, str(tmp_path / "a.mha"))
    else:
        for index, name in enumerate(CLASSES.members, 1):
            write(tmp_path / name / "a.nii.gz", values[index])
    (paths,) = list_probabilities(tmp_path, tuple(CLASSES.members)).values()
    chosen = choose(("ece",), Settings())
    with ProbabilityMap(paths, slab_bytes=5000) as found:
        together, _ = case_module.count_calibration(labels, found, CLASSES, chosen)
    expected = evaluation.ece(labels, values)
    tolerance = 1e-3 if kind == "npz" else 1e-6
    assert together.error(Settings()) == pytest.approx(expected, abs=tolerance)
