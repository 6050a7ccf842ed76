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


def test_a_class_cannot_have_the_name_of_all_of_them(tmp_path):
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "all classes": 1}}')
    with pytest.raises(EvaluationError, match="cannot be called 'all classes'"):
        evaluation.read_classes(tmp_path / "dataset.json")


def test_lists_in_lists_without_end_are_named(tmp_path):
    (tmp_path / "dataset.json").write_text("[" * 200_000)
    with pytest.raises(EvaluationError, match="no usable 'labels'"):
        evaluation.read_classes(tmp_path / "dataset.json")
