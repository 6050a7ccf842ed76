"""Files of an evaluation."""

from __future__ import annotations

import pytest

import evaluation


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    summary = evaluation.Summary(scores=())
    monkeypatch.setattr(evaluation.Summary, "to_plain", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluation.write_summary(summary, tmp_path / "s")
    assert not list(tmp_path.glob("s/*.json"))
    assert not list(tmp_path.glob("s/.partial*"))
