"""What was written is what is read."""

from __future__ import annotations

import numpy as np
import pytest

import evaluation
from evaluation.errors import EvaluationError
from evaluation.read_back import read_summary
from evaluation.settings import Settings


def same(first, second):
    return np.array_equal(
        [item.value for item in first.scores], [item.value for item in second.scores], True
    )


@pytest.mark.parametrize("profile", [None, "kits23"])
@pytest.mark.parametrize("methods", [["good"], ["good", "poor"]])
def test_a_summary_is_read_as_it_was(kidneys, profile, methods):
    (kidneys / "good/case_1.nii.gz").unlink()
    written = evaluation.evaluate_folders(
        kidneys / "ref",
        [kidneys / name for name in methods],
        profile=profile,
        settings=Settings(one_empty="inf"),
        output=kidneys / "out",
    )
    found = read_summary(kidneys / "out")
    assert same(written, found)
    assert [score.method for score in found.scores] == [score.method for score in written.scores]
    assert (found.missing, found.surplus, found.seed) == (written.missing, (), 0)
    assert found.table() == written.table()
    again = evaluation.evaluate_folders(
        kidneys / "ref",
        [kidneys / name for name in methods],
        profile=profile,
        settings=Settings(one_empty="inf"),
        output=kidneys / "out",
    )
    assert again.rankings == written.rankings
    assert len(again.comparisons) == len(written.comparisons)


def test_reliability_diagrams_are_read(organs):
    classes = evaluation.Classes(members={"pancreas": (1,), "kidney": (2,), "liver": (3,)})
    written = evaluation.evaluate_folders(
        organs / "r1",
        organs / "pred",
        classes,
        metrics=["ece", "classwise_ece"],
        probabilities=[organs / "p"],
        output=organs / "out",
    )
    found = read_summary(organs / "out").reliability
    assert found.keys() == written.reliability.keys()
    for key, bins in written.reliability.items():
        for name in ("low", "high", "counts", "confidence", "accuracy"):
            assert np.array_equal(getattr(bins, name), getattr(found[key], name), True), name


@pytest.mark.parametrize("name", ["summary.json", "cases.csv"])
def test_files_that_were_changed_are_named(kidneys, name):
    evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", output=kidneys / "out")
    (kidneys / "out" / name).write_text("case,value\n1,2\n" if name == "cases.csv" else "[1]")
    with pytest.raises(EvaluationError, match="cannot be read back"):
        read_summary(kidneys / "out")
