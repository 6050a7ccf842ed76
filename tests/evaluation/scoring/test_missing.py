"""A missing prediction is the worst of every metric, under every policy and profile."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation import Settings, evaluate_folders
from evaluation.labels import Classes
from evaluation.metrics import METRICS
from tests.evaluation.conftest import sitk_labels, write

CLASSES = Classes(members={"a": (1,), "b": (2,)})


@pytest.fixture
def folders(tmp_path):
    """Two cases, one of which is healthy; the method has neither of them but one good one."""
    sick = np.zeros((6, 8, 8))
    sick[1:4, 2:6, 2:6] = 1
    sick[4, 1:3, 1:3] = 2
    for name, labels in (("there", sick), ("sick", sick), ("healthy", np.zeros((6, 8, 8)))):
        write(tmp_path / "reference" / f"{name}.nii.gz", labels.astype(np.uint8))
        for rater in ("r1", "r2"):
            write(tmp_path / rater / f"{name}.nii.gz", labels.astype(np.uint8))
    write(tmp_path / "method" / "there.nii.gz", sick.astype(np.uint8))
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
    found = values(summary)
    assert {name for _, _, name in found} == {*names, "dice_per_rater:r1", "dice_per_rater:r2"}
    for (case, _, name), value in found.items():
        metric = METRICS[name.split(":")[0]]
        if name == "crps":
            assert value == pytest.approx(6 * 8 * 8 / 1000)  # all of the image
        else:
            assert value == (metric.low if metric.direction == "higher" else metric.high), case


@pytest.mark.parametrize("profile", ["kits19", "kits21", "kits23", "isles22", "msd:liver"])
@pytest.mark.parametrize("mode", ["official", "exact"])
def test_no_profile_makes_a_missing_prediction_good(folders, profile, mode):
    summary = evaluate_folders(
        folders / "reference", folders / "method", None, profile=profile, mode=mode
    )
    found = {key: value for key, value in values(summary).items() if key[2] == "dice"}
    assert found
    assert set(found.values()) == {0.0}


@pytest.fixture
def two(organs):
    """A second case: it has raters, but lacks what a method should have made."""
    for rater in ("r1", "r2", "r3"):
        write(organs / f"{rater}/b.nii.gz", sitk_labels(organs / f"{rater}/a.nii.gz"))
    (organs / "one").mkdir()
    for case in "ab":
        soft = np.load(organs / "p/a.npz")["probabilities"][:1]
        np.savez(organs / f"one/{case}.npz", probabilities=soft)
    return organs


@pytest.mark.parametrize("missing", ["prediction", "probabilities"])
@pytest.mark.parametrize("mode", ["official", "exact"])
@pytest.mark.parametrize("profile", ["curvas2024", "curvas_pdacvi2025", "qubiq"])
def test_a_case_without_label_map_or_probabilities_is_worst(two, profile, mode, missing):
    if missing == "probabilities":
        write(two / "pred/b.nii.gz", sitk_labels(two / "pred/a.nii.gz"))
        (two / "one/b.npz").unlink()
    summary = evaluate_folders(
        two / "r1",
        two / "pred",
        profile=profile,
        mode=mode,
        raters=[two / name for name in ("r1", "r2", "r3")],
        probabilities=[two / ("p" if profile == "curvas2024" else "one")],
    )
    found = {(item.case, item.label, item.metric): item.value for item in summary.scores}
    number = 6 * 30 * 30
    for (case, label, name), value in found.items():
        if case == "b":
            expected = {"crps": number, "ece": 1}.get(name.split("_")[0], 0)
            assert value == expected, (label, name)
    if missing == "probabilities":
        assert any("they count as worst" in note for note in summary.notes)


def test_missing_probabilities_are_worst_for_rater_metrics_that_look_at_them(two):
    write(two / "pred/b.nii.gz", sitk_labels(two / "pred/a.nii.gz"))
    (two / "one/b.npz").unlink()
    summary = evaluate_folders(
        two / "r1",
        two / "pred",
        Classes(members={"pancreas": (1,)}),
        metrics=["soft_dice", "consensus_confidence", "background_confidence", "dice_majority"],
        raters=[two / name for name in ("r1", "r2", "r3")],
        probabilities=[two / "one"],
    )
    found = {(item.case, item.metric): item.value for item in summary.scores}
    for name in ("soft_dice", "consensus_confidence", "background_confidence"):
        assert found["a", name] > 0.5
        assert found["b", name] == 0
    assert found["a", "dice_majority"] == found["b", "dice_majority"] > 0.5
