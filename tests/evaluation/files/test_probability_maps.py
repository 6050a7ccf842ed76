"""Probabilities as programs write them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

import evaluation
from evaluation.errors import EvaluationError
from evaluation.files.probability_maps import ProbabilityMap, list_probabilities
from evaluation.labels import Classes
from evaluation.metrics import choose
from evaluation.scoring.calibration import count_calibration
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
        together, _ = count_calibration(labels, found, CLASSES, chosen)
    expected = evaluation.ece(labels, values)
    tolerance = 1e-3 if kind == "npz" else 1e-6
    assert together.error(Settings()) == pytest.approx(expected, abs=tolerance)


def test_nnunets_probabilities_of_a_2d_image_are_scored(made, tmp_path):
    values, labels = made
    write(tmp_path / "ref/a.png", labels[0])
    write(tmp_path / "pred/a.png", values[:, 0].argmax(axis=0).astype(np.uint8))
    for folder in ("p", "q"):
        (tmp_path / folder).mkdir()
    np.savez_compressed(tmp_path / "p/a.npz", probabilities=values[:, :1])
    np.save(tmp_path / "q/a.npy", np.asfortranarray(values[:, :1]))
    for folder in ("p", "q"):
        summary = evaluation.evaluate_folders(
            tmp_path / "ref",
            tmp_path / "pred",
            CLASSES,
            metrics=["ece", "soft_dice"],
            raters=[tmp_path / "ref", tmp_path / "pred"],
            probabilities=[tmp_path / folder],
        )
        assert summary.mean("ece") == evaluation.ece(labels[:1], values[:, :1])
    whole = tmp_path / "p/a.npz"
    with ProbabilityMap((whole,)) as found, pytest.raises(EvaluationError, match="shape"):
        found.fit((2, *labels.shape[1:]))


def test_every_flipped_bit_of_an_archive_is_found(made, tmp_path):
    values, _ = made
    path = tmp_path / "a.npz"
    np.savez_compressed(path, probabilities=values)
    raw, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(100, len(raw) - 200, 25).tolist():
        damaged = bytearray(raw)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(EvaluationError, match="truncated or damaged"):
            ProbabilityMap((path,))


@pytest.mark.parametrize("place", [6, 8])
def test_archives_that_zipfile_cannot_read_are_one_line(made, tmp_path, place):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, probabilities=made[0])
    raw = bytearray(path.read_bytes())
    for start in (0, raw.index(b"PK\1\2") + 2):  # encrypted, or packed in an unknown way
        raw[start + place] |= 0x61
    path.write_bytes(raw)
    with pytest.raises(EvaluationError) as found:
        ProbabilityMap((path,))
    assert len(str(found.value).splitlines()) == 1
