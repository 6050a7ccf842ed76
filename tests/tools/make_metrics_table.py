"""Writes the table of metrics into its README: python -m tests.tools.make_metrics_table."""

from __future__ import annotations

from evaluation.metrics.documentation import metrics_table
from tests.conftest import ROOT

README = ROOT / "evaluation" / "README.md"
BEGIN, END = "<!-- metrics table -->", "<!-- end of metrics -->"


def with_table(text: str) -> str:
    """The README with the table as it should be."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{metrics_table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
