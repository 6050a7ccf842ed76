"""CURVAS 2024 from the shell."""

from __future__ import annotations

import json

import pytest

from autoseg.cli import evaluate as command


@pytest.mark.parametrize("mode", ["official", "exact"])
def test_curvas_scores_against_all_raters_and_says_where_the_modes_differ(organs, mode, capsys):
    text = (
        "majority {0}/pred --raters {0}/r1 {0}/r2 {0}/r3 --probabilities {0}/p --images {0}/images "
        "--profile curvas2024 --mode {1} -o {0}/out"
    )
    code = command.main(text.format(organs, mode).split())
    assert code == 0, capsys.readouterr().err
    plain = json.loads((organs / "out/summary.json").read_text())
    case = plain["cases"]["a"]
    assert set(case["liver"]) == {"dsc", "confidence", "crps"}
    assert {"ece", "ece_rater_1", "ece_rater_3"} <= set(case["all classes"])
    other = "exact" if mode == "official" else "official"
    assert any(f"{other} differs from {mode}" in note for note in plain["notes"])
