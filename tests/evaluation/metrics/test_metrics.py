"""Metrics looked up by name."""

from __future__ import annotations

import math

import pytest

import evaluation
from evaluation.metrics import ALIASES, METRICS, choose, strata
from evaluation.settings import Settings


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dise", "Metric 'dise' is unknown"),
        ("hd95:medpi", "Variant 'medpi' is unknown; this metric has: deepmind"),
        ("dice:2mm", "this metric has: none"),
    ],
)
def test_unknown_metrics_and_variants_are_named(name, message):
    with pytest.raises(evaluation.EvaluationError, match=message):
        choose([name], Settings())


def test_lesion_metrics_are_parted_at_the_sizes():
    found = strata(["dice", "lesion_f1", "lesion_count:conn6"], [0.1, 2])
    assert found == (
        "dice",
        "lesion_f1",
        *("lesion_f1:-0.1ml", "lesion_f1:0.1-2ml", "lesion_f1:2-ml"),
        "lesion_count:conn6",
        *("lesion_count:conn6:-0.1ml", "lesion_count:conn6:0.1-2ml", "lesion_count:conn6:2-ml"),
    )
    small, middle, large = (item.settings.lesion_ml for item in choose(found, Settings())[2:5])
    assert (small, middle, large) == ((0, 0.1), (0.1, 2), (2, math.inf))
    assert strata(["lesion_f1"], []) == ("lesion_f1",)


@pytest.mark.parametrize("edges", [[2, 1], [1, 1], [0, 1], [-1]])
def test_sizes_of_lesions_ascend(edges):
    with pytest.raises(evaluation.EvaluationError, match="expected ascending volumes"):
        strata(["lesion_f1"], edges)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_other_names_stand_for_a_metric(alias, name):
    (found,) = choose([alias], Settings())
    assert (found.name, found.metric) == (name, METRICS[name])
