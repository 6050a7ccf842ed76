"""splits_final.json: the cases of every fold, in nnU-Net's format."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoseg.datasets.folds import Fold
from autoseg.datasets.groups import named
from autoseg.errors import InputError
from autoseg.schema.serialise import write_text

NAME = "splits_final.json"
_EXPECTATION = 'expected a list of {"train": [cases], "val": [cases]}'
_PARTS = ("train", "val")


def read_splits(path: Path, cases: Sequence[str]) -> tuple[Fold, ...]:
    """Reads splits_final.json.

    Raises:
        InputError: All faults: it is no list of {"train": […], "val": […]}, a part is empty or
            names a case twice or one that is none, or a case is in both parts of a fold.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run autoseg_plan first.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}).") from None
    if not isinstance(plain, list) or not plain:
        raise InputError(f"{path}: holds {_short(plain)}; {_EXPECTATION}.")
    known = set(cases)
    faults = [
        f"{path}: fold {index} {fault}"
        for index, item in enumerate(plain)
        for fault in _fold_faults(item, known)
    ]
    if faults:
        raise InputError("\n".join(faults))
    return tuple(Fold(train=tuple(item["train"]), val=tuple(item["val"])) for item in plain)


def write_splits(path: Path, folds: Sequence[Fold]) -> None:
    """Writes splits_final.json."""
    write_text(path, to_text(folds))


def to_text(folds: Sequence[Fold]) -> str:
    """Folds as `write_splits` writes them."""
    plain = [{"train": list(fold.train), "val": list(fold.val)} for fold in folds]
    return json.dumps(plain, indent=1)


def _fold_faults(item: Any, known: set[str]) -> list[str]:
    if not isinstance(item, dict) or not set(_PARTS) <= set(item):
        return [f"is {_short(item)}; {_EXPECTATION}."]
    wrong = [
        f"has {_short(item[part])} as {part}, expected a list of case names."
        for part in _PARTS
        if not isinstance(item[part], list) or any(type(name) is not str for name in item[part])
    ]
    if wrong:
        return wrong
    faults = []
    for part, what in zip(_PARTS, ("training", "validation"), strict=True):
        names: list[str] = item[part]
        if not names:
            faults.append(f"has no {what} cases. To train on all cases, train the fold 'all'.")
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            faults.append(f"has {named(twice)} twice in {part}.")
        if unknown := set(names) - known:
            faults.append(
                f"names {named(unknown)} in {part}, no case of the data set. Names have no channel "
                "number and no file ending; correct the file, or remove it to make other folds."
            )
    if both := set(item["train"]) & set(item["val"]):
        faults.append(f"trains and validates on {named(both)}.")
    return faults


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
