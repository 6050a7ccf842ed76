"""The table of metrics for people."""

from __future__ import annotations

from tests.tools.make_metrics_table import README, with_table


def test_the_table_of_metrics_in_the_readme_is_current():
    text = README.read_text(encoding="utf-8")
    assert text == with_table(text), "run python -m tests.tools.make_metrics_table"
