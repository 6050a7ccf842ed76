"""Files of an evaluation."""

from __future__ import annotations

import csv
import itertools
import json
import re

import numpy as np
import pytest

import evaluation
from evaluation.comparing import compared
from evaluation.measures.reliability import Reliability


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    summary = evaluation.Summary(scores=())
    monkeypatch.setattr(evaluation.Summary, "to_plain", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluation.write_summary(summary, tmp_path / "s")
    assert not list(tmp_path.glob("s/*.json"))
    assert not list(tmp_path.glob("s/.partial*"))


NASTY = (
    "a\n| forged | 1.0000 |",
    "b|1.0000|",
    "<script>alert(1)</script>",
    "c\r\x1b[2K\x1b[1A",
    "[link](http://x)",
    "`d`\\|",
    "$\\frac{$",
    "_hidden",
    "caf\udce9",
    "e\u2028f",
)


def nasty_summary():
    """An evaluation of two methods whose cases, classes and methods have such names."""
    scores = tuple(
        evaluation.Score(case=case, label=label, metric=f"dice_per_rater:{label}", value=0.5,
                         method=method)
        for method in NASTY[:2]
        for case in NASTY
        for label in NASTY
    )  # fmt: skip
    bins = Reliability(
        low=np.zeros(1), high=np.ones(1), counts=np.ones(1, int), confidence=np.ones(1),
        accuracy=np.ones(1),
    )  # fmt: skip
    return compared(
        evaluation.Summary(
            scores=scores,
            missing=NASTY,
            surplus=NASTY,
            notes=NASTY,
            reliability={("", name): bins for name in NASTY},
        )
    )


def test_names_forge_neither_lines_nor_cells_nor_links(tmp_path):
    evaluation.write_summary(nasty_summary(), tmp_path)
    text = (tmp_path / "summary.md").read_text()
    assert all(line.isprintable() for line in text.split("\n"))
    assert not [line for line in text.split("\n") if line.startswith("| forged")]
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\[link", text)
    tables = [line for line in text.split("\n") if line.startswith("|")]
    plain = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in tables]
    for before, after in itertools.pairwise(zip(tables, plain, strict=True)):
        if after[0].startswith("|---"):
            assert after[1] == before[1]
    widths = {len(NASTY) + 2, 6, 5}  # scores, metrics or comparisons, rankings
    assert set(plain) == widths


def test_names_change_neither_rows_nor_cells_of_tables_of_numbers(tmp_path):
    summary = nasty_summary()
    evaluation.write_summary(summary, tmp_path)
    lines = (tmp_path / "cases.csv").read_text().splitlines()
    assert len(lines) == 1 + len(summary.scores)
    with (tmp_path / "cases.csv").open(newline="") as stream:
        assert {len(row) for row in csv.reader(stream)} == {6}
    plain = json.loads((tmp_path / "summary.json").read_text())
    assert set(plain["methods"]) == set(NASTY[:2])
    assert (tmp_path / "reliability.png").stat().st_size > 1000


def test_names_do_not_change_the_lines_of_a_terminal():
    summary = nasty_summary()
    lines = summary.table(NASTY[0]).split("\n")
    assert len(lines) == 1 + len(NASTY) + 1
    assert all(line.isprintable() for line in lines)


def test_names_do_not_forge_errors():
    error = evaluation.EvaluationError("a\nerror: b", "c\x1b[2K")
    assert str(error).split("\n") == [r"a\nerror: b", r"c\x1b[2K"]
