"""A missing prediction is the worst of every metric, under every policy and profile."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk

from evaluation import Settings, evaluate_folders
from evaluation.labels import Classes
from evaluation.metrics import METRICS

CLASSES = Classes(members={"a": (1,), "b": (2,)})


def write(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(labels.astype(np.uint8)), str(path))


@pytest.fixture
def folders(tmp_path):
    """Two cases, one of which is healthy; the method has neither of them but one good one."""
    sick = np.zeros((6, 8, 8))
    sick[1:4, 2:6, 2:6] = 1
    sick[4, 1:3, 1:3] = 2
    for name, labels in (("there", sick), ("sick", sick), ("healthy", np.zeros((6, 8, 8)))):
        write(tmp_path / "reference" / f"{name}.nii.gz", labels)
        for rater in ("r1", "r2"):
            write(tmp_path / rater / f"{name}.nii.gz", labels)
    write(tmp_path / "method" / "there.nii.gz", sick)
    probabilities = np.stack([sick == value for value in range(3)]).astype(np.float32)
    np.savez(tmp_path / "method" / "there.npz", probabilities=probabilities)
    return tmp_path


def values(summary):
    return {
        (score.case, score.label, score.metric): score.value
        for score in summary.scores
        if score.case != "there"
    }


@pytest.mark.parametrize("policy", ["nan", "worst", "best", "inf", "official"])
def test_no_policy_makes_a_missing_prediction_good(folders, policy):
    names = [name for name, metric in METRICS.items() if metric.of_masks and metric.direction]
    summary = evaluate_folders(
        folders / "reference",
        folders / "method",
        CLASSES,
        metrics=names,
        settings=Settings(both_empty=policy),
    )
    found = values(summary)
    assert len(found) == 2 * 2 * len(names)
    for (_, _, name), value in found.items():
        metric = METRICS[name]
        assert not math.isnan(value), name
        if metric.direction == "higher":
            assert value == metric.low, name
        elif not math.isinf(metric.high):
            assert value == metric.high, name
        elif metric.unit == "mm":
            assert value >= math.sqrt(6**2 + 8**2 + 8**2) - 3, name


def test_missing_probabilities_stay_in_the_means(folders):
    names = [name for name, metric in METRICS.items() if metric.of_probabilities]
    summary = evaluate_folders(
        folders / "reference",
        folders / "method",
        CLASSES,
        metrics=names,
        probabilities=[folders / "method"],
    )
    found = values(summary)
    assert found
    assert not [key for key, value in found.items() if math.isnan(value)]
    assert found["sick", "all classes", "nll"] == pytest.approx(-math.log(1e-12))


def test_raters_metrics_of_a_missing_prediction_are_worst(folders):
    names = [name for name, metric in METRICS.items() if metric.of_raters and metric.direction]
    summary = evaluate_folders(
        folders / "reference",
        folders / "method",
        CLASSES,
        metrics=names,
        raters=[folders / "r1", folders / "r2"],
        probabilities=[folders / "method"],
    )
    for (case, _, name), value in values(summary).items():
        metric = METRICS[name]
        if metric.direction == "higher":
            assert value == metric.low, (case, name)
        elif not math.isinf(metric.high):
            assert value == metric.high, (case, name)


@pytest.mark.parametrize("profile", ["kits19", "kits21", "kits23", "isles22", "msd:liver"])
@pytest.mark.parametrize("mode", ["official", "exact"])
def test_no_profile_makes_a_missing_prediction_good(folders, profile, mode):
    summary = evaluate_folders(
        folders / "reference", folders / "method", None, profile=profile, mode=mode
    )
    found = {key: value for key, value in values(summary).items() if key[2] == "dice"}
    assert found
    assert set(found.values()) == {0.0}
