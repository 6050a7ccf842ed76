"""The README's example of a converter runs and makes a data set without faults."""

from __future__ import annotations

import re

from autoseg.datasets.folder import survey_dataset
from tests.conftest import ROOT


def test_the_example_writes_a_data_set_without_faults(tmp_path, monkeypatch):
    text = (ROOT / "dataset_conversion" / "README.md").read_text(encoding="utf-8")
    code = re.search(r"<!-- writer -->\n```python\n(.*?)```", text, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README, writer", "exec"), {})
    dataset, _, errors = survey_dataset(tmp_path / "Dataset500_Example")
    assert errors == []
    assert len(dataset.cases) == 3
