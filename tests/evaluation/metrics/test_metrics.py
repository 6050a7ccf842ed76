"""Metrics looked up by name."""

from __future__ import annotations

import pytest

import evaluation
from evaluation.metrics import choose
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
