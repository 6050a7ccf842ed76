"""The labels of a dataset.json: names, regions and the ignore label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.schema.serialise import short


def read_labels(
    description: dict[str, Any], where: Path, error: Callable[[Path, str], None]
) -> LabelScheme | None:
    """Reads `labels` and `regions_class_order` of a dataset.json."""
    if "labels" not in description:
        error(where, 'the key \'labels\' is missing, for example {"background": 0, "tumor": 1}.')
        return None
    labels = description["labels"]
    if not isinstance(labels, dict) or not labels:
        error(where, f"labels is {short(labels)}, expected a mapping of names to numbers.")
        return None
    parsed: dict[str, tuple[int, ...]] = {}
    for name, value in labels.items():
        values = tuple(value) if isinstance(value, list) else (value,)
        if not values or any(type(item) is not int or item < 0 for item in values):
            hint = ""
            if isinstance(value, str) and name.isdigit():
                hint = ' (this is the old order; write names first: {"tumor": 1})'
            error(
                where,
                f"label '{str(name)[:80]}' is {short(value)}, expected an integer from 0 on{hint}.",
            )
            return None
        parsed[name] = values
    if "background" not in parsed:
        error(where, "labels has no 'background'; add \"background\": 0.")
        return None
    if parsed.pop("background") != (0,):
        error(where, f"the background is {short(labels['background'])}, expected 0.")
        return None
    ignore = parsed.pop("ignore", None)
    if ignore is not None and (len(ignore) != 1 or ignore[0] == 0):
        error(where, f"the ignore label is {short(labels['ignore'])}, expected one number above 0.")
        return None
    return _scheme(parsed, ignore, description.get("regions_class_order"), where, error)


def _scheme(
    parsed: dict[str, tuple[int, ...]],
    ignore: tuple[int, ...] | None,
    order: Any,
    where: Path,
    error: Callable[[Path, str], None],
) -> LabelScheme | None:
    if not parsed:
        error(where, "labels names no class besides the background.")
        return None
    used = [value for values in parsed.values() for value in values]
    if ignore is not None and ignore[0] in used:
        error(where, f"the ignore label {ignore[0]} is also the value of a class.")
        return None
    has_regions = any(len(values) > 1 for values in parsed.values())
    if not has_regions:
        if len(set(used)) < len(used) or 0 in used:
            double = next(value for value in used if used.count(value) > 1 or value == 0)
            error(where, f"the value {double} stands for two labels.")
            return None
        order = None
    elif (
        not isinstance(order, list)
        or len(order) != len(parsed)
        or any(type(value) is not int or value < 1 for value in order)
    ):
        error(
            where,
            f"regions_class_order is {short(order)}, expected one label value for each of the "
            f"{len(parsed)} regions ({', '.join(parsed)[:200]}).",
        )
        return None
    return LabelScheme(
        classes=tuple(LabelClass(name=name, values=values) for name, values in parsed.items()),
        ignore=ignore[0] if ignore else None,
        regions_order=tuple(order) if order else None,
    )
