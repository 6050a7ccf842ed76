"""Several raters and voxels that somebody did not look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import evaluation
from evaluation.labels import Classes
from evaluation.metrics import METRICS
from tests.evaluation.conftest import write

IGNORE = 9
CLASSES = Classes(members={"whole": (1, 2), "core": (2,)}, ignore=IGNORE)
RATERS = ("r1", "r2", "r3")
NAMES = [name for name, metric in METRICS.items() if metric.of_raters]


def outlines():
    """Three raters' label maps, and a prediction, without voxels that are ignored."""
    maps = np.zeros((4, 4, 12, 12), np.uint8)
    for index, labels in enumerate(maps):
        labels[1:3, 2 + index : 8, 2:8] = 1
        labels[1:3, 4:6, 4 : 6 + index % 2] = 2
    return maps


def score(folder, **more):
    return evaluation.evaluate_folders(
        folder / "ref",
        folder / "pred",
        CLASSES,
        metrics=NAMES,
        raters=[folder / name for name in RATERS],
        probabilities=[folder / "p"],
        **more,
    )


def save(folder, maps, reference, soft):
    for name, labels in zip((*RATERS, "pred"), maps, strict=True):
        write(folder / name / "a.nii.gz", labels)
    write(folder / "ref/a.nii.gz", reference)
    (folder / "p").mkdir(parents=True)
    np.savez(folder / "p/a.npz", probabilities=soft)


def probabilities(prediction):
    return np.stack([prediction > 0, prediction == 2]).astype(np.float32) * 0.8 + 0.1


@pytest.mark.parametrize("who", ["all", "reference"])
def test_what_is_ignored_is_as_if_it_was_not_there(tmp_path, who):
    """Scores of a part of an image are those of the image whose rest is ignored."""
    maps = outlines()
    save(tmp_path / "part", maps, maps[0], probabilities(maps[3]))
    wide = np.pad(maps, ((0, 0), (0, 0), (0, 0), (0, 6)))
    soft = np.pad(probabilities(maps[3]), ((0, 0), (0, 0), (0, 0), (0, 6)), constant_values=0.9)
    wide[..., 12:] = 2  # nonsense, and outlined by all
    reference = wide[0].copy()
    reference[..., 12:] = IGNORE
    if who == "all":
        wide[:3, ..., 12:] = IGNORE
    save(tmp_path / "whole", wide, reference, soft)
    expected, found = score(tmp_path / "part"), score(tmp_path / "whole")
    assert expected.metrics == found.metrics
    for metric in expected.metrics:
        for label in ("whole", "core"):
            assert found.mean(metric, label) == pytest.approx(
                expected.mean(metric, label), rel=1e-6, nan_ok=True
            ), (metric, label)


def test_a_rater_counts_where_he_looked(tmp_path):
    maps = outlines()
    maps[:3] = maps[3]  # all agree with the prediction
    maps[1, :, :4] = IGNORE
    maps[2, :, 7:] = IGNORE
    maps[2, :, :, 5] = IGNORE
    save(tmp_path, maps, maps[0], probabilities(maps[3]))
    summary = score(tmp_path)
    perfect = [name for name in NAMES if name.startswith("dice") or name == "soft_dice"]
    for name in (*perfect, "rater_agreement", "dice_per_rater:r3"):
        assert summary.mean(name) == 1, name
    assert summary.mean("ged") == 0
    assert summary.mean("fleiss_kappa") == pytest.approx(1)


def test_volumes_are_compared_where_all_looked(tmp_path):
    maps = outlines()
    maps[0, :, :, 6:] = IGNORE
    save(tmp_path, maps, maps[3], probabilities(maps[3]))
    cut = maps[..., :6].copy()
    save(tmp_path / "cut", cut, cut[3], probabilities(cut[3]))
    for name in ("crps", "volume_coverage", "volume_interval_high"):
        expected = score(tmp_path / "cut").mean(name, "whole")
        assert score(tmp_path).mean(name, "whole") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("how", ["majority", "staple"])
def test_raters_with_an_ignore_label_make_a_reference(tmp_path, how):
    maps = outlines()
    truth = maps[3].copy()
    maps[:3] = truth
    maps[1, :, :6] = maps[2, :, 5:] = IGNORE
    maps[:3, :, :, 11] = IGNORE
    prediction = truth.copy()
    prediction[:, :, 11] = 2
    for name, labels in zip((*RATERS, "pred"), (*maps[:3], prediction), strict=True):
        write(tmp_path / name / "a.nii.gz", labels)
    summary = evaluation.evaluate_folders(
        Path(how),
        tmp_path / "pred",
        CLASSES,
        metrics=["dice", "precision"],
        raters=[tmp_path / name for name in RATERS],
    )
    assert summary.mean("dice") == summary.mean("precision") == 1
