"""Settings of metrics."""

from __future__ import annotations

import pytest

import evaluation
from evaluation.settings import Settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"both_empty": "bad"}, "both empty 'bad'"),
        ({"surface": "x"}, "Surface 'x'"),
        ({"connectivity": 7}, "Connectivity 7"),
        ({"region": "x"}, "Region 'x'"),
        ({"tolerance_mm": -1.0}, "Tolerance -1"),
        ({"num_bins": 0}, "Bins"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(evaluation.EvaluationError, match=message):
        Settings(**change)
