"""Reads which classes a dataset.json names; independent of autoseg."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluation.errors import EvaluationError
from evaluation.files.packed import check_plain

ALL_CLASSES = "all classes"
"""Class of values that belong to all classes together."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """Classes to score.

    Attributes:
        members: Name → raw values.
        ignore: Raw value of reference voxels that do not count.
    """

    members: Mapping[str, tuple[int, ...]]
    ignore: int | None = None

    @property
    def has_regions(self) -> bool:
        """Whether a class has several values, or a value several classes."""
        values = [value for members in self.members.values() for value in members]
        return len(values) != len(self.members) or len(set(values)) != len(values)


def read_classes(path: Path) -> Classes:
    """Reads `labels` of a dataset.json.

    Raises:
        EvaluationError: The file is missing or its labels are no names of integers.
    """
    check_plain(path)
    try:
        labels = json.loads(path.read_text(encoding="utf-8-sig"))["labels"]
        members = {
            str(name): tuple(value) if isinstance(value, list) else (value,)
            for name, value in labels.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EvaluationError(
            f'{path}: has no usable \'labels\'; expected {{"labels": {{"background": 0, "a": 1}}}}.'
        ) from None
    if any(type(value) is not int for values in members.values() for value in values):
        raise EvaluationError(f"{path}: labels must be integers or lists of integers.")
    members.pop("background", None)
    ignore = members.pop("ignore", None)
    if not members:
        raise EvaluationError(f"{path}: labels names no class besides the background.")
    if ALL_CLASSES in members:
        raise EvaluationError(
            f"{path}: a class cannot be called '{ALL_CLASSES}', which stands for values of all of "
            "them together. Rename it."
        )
    return Classes(members=members, ignore=ignore[0] if ignore else None)
