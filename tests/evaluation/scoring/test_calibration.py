"""Calibration of a case: counted in slabs, ignored voxels, regions."""

from __future__ import annotations

import json

import numpy as np
import pytest

import evaluation
from evaluation.files.probability_maps import ProbabilityMap
from evaluation.labels import Classes
from evaluation.metrics import choose
from evaluation.scoring.calibration import count_calibration
from evaluation.settings import Settings
from tests.evaluation.conftest import write

CLASSES = Classes(members={"one": (1,), "two": (2,)})


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_the_size_of_slabs_changes_not_a_bit(made, tmp_path, monkeypatch, chunk):
    values, labels = made
    np.save(tmp_path / "a.npy", values)
    names = ("ece", "classwise_ece", "brier", "nll", "ece:box", "ece:bins7:adaptive")
    chosen = choose(names, Settings(margin=1))

    def run(slab_bytes):
        with ProbabilityMap((tmp_path / "a.npy",), slab_bytes=slab_bytes) as found:
            together, each = count_calibration(labels, found, CLASSES, chosen)
        items = {**each, "all": together}
        return [
            item.metric.of_probabilities(found, item.settings)
            for found in items.values()
            for item in chosen
        ]

    expected = run(1 << 30)
    monkeypatch.setattr("evaluation.measures.reliability.CHUNK", chunk * 37)
    assert run(chunk) == expected


def test_ignored_voxels_do_not_count(made, tmp_path):
    values, labels = made
    part = labels.copy()
    part[4:] = 9
    classes = Classes(members=CLASSES.members, ignore=9)
    chosen = choose(("ece", "classwise_ece"), Settings())
    np.save(tmp_path / "a.npy", values)
    with ProbabilityMap((tmp_path / "a.npy",)) as found:
        together, _ = count_calibration(part, found, classes, chosen)
    assert together.error(Settings()) == evaluation.ece(labels[:4], values[:, :4])


def test_regions_stand_for_themselves(tmp_path):
    labels = np.random.default_rng(0).integers(0, 3, (4, 6, 5)).astype(np.uint8)
    write(tmp_path / "ref/a.nii.gz", labels)
    write(tmp_path / "pred/a.nii.gz", labels)
    (tmp_path / "p").mkdir()
    np.save(tmp_path / "p/a.npy", np.stack((labels > 0, labels == 2)).astype(np.float32))
    (tmp_path / "ref/dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "whole": [1, 2], "core": 2}})
    )
    classes = evaluation.read_classes(tmp_path / "ref/dataset.json")
    (tmp_path / "ref/dataset.json").unlink()
    summary = evaluation.evaluate_folders(
        tmp_path / "ref",
        tmp_path / "pred",
        classes,
        metrics=["classwise_ece", "classwise_brier"],
        probabilities=[tmp_path / "p"],
    )
    assert summary.mean("classwise_ece") == summary.mean("classwise_brier") == 0


@pytest.mark.parametrize("region", ["image", "box", "band"])
def test_ignored_voxels_of_regions_do_not_count(tmp_path, region):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (4, 6, 5)).astype(np.uint8)
    values = np.stack((labels > 0, labels == 2)).astype(np.float32) * 0.8 + 0.1
    wide = np.full((8, 6, 5), 9, np.uint8)
    wide[:4] = labels
    both = np.concatenate((values, 1 - values), axis=1)  # all wrong where nobody looked
    members = {"whole": (1, 2), "core": (2,)}
    chosen = choose(
        [f"{name}:{region}" for name in ("classwise_ece", "classwise_brier")], Settings(margin=2)
    )
    found = []
    for reference, probabilities, ignore in ((labels, values, None), (wide, both, 9)):
        np.save(tmp_path / "a.npy", probabilities)
        with ProbabilityMap((tmp_path / "a.npy",)) as opened:
            together, each = count_calibration(
                reference, opened, Classes(members=members, ignore=ignore), chosen
            )
        assert together is None
        found.append(
            [
                item.metric.of_probabilities(counted, item.settings)
                for counted in each.values()
                for item in chosen
            ]
        )
    assert found[0] == pytest.approx([0.1, 0.01] * 2)
    assert found[1] == pytest.approx(found[0])


def test_labels_of_any_size_have_probabilities(made, tmp_path):
    values, labels = made
    large = labels.astype(np.int64) * 2**40
    classes = Classes(members={"one": (2**40,), "two": (2**41,)})
    chosen = choose(("ece", "brier"), Settings())
    np.save(tmp_path / "a.npy", values)
    with ProbabilityMap((tmp_path / "a.npy",)) as found:
        together, _ = count_calibration(large, found, classes, chosen)
    assert together.error(Settings()) == evaluation.ece(labels, values)
    assert together.brier(Settings()) == evaluation.brier(labels, values)
