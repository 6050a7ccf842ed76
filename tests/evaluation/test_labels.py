"""Names of classes in a file."""

from __future__ import annotations

import pytest

import evaluation
from evaluation.errors import EvaluationError


@pytest.mark.parametrize(
    "text",
    ["{", "{}", '{"labels": [1]}', '{"labels": {"background": 0}}', '{"labels": {"a": "x"}}'],
)
def test_unusable_labels_are_named(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(EvaluationError, match=r"dataset\.json: "):
        evaluation.read_classes(tmp_path / "dataset.json")
    with pytest.raises(EvaluationError, match="no such file"):
        evaluation.read_classes(tmp_path / "none.json")
