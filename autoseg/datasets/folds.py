"""Folds: disjoint, grouped by patient, stratified by the classes that a case has."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoseg.errors import InputError, UsageError
from autoseg.schema.serialise import write_text

_PATIENT = re.compile(
    r"^(?P<group>.*?(?:patient|subject|sub|case|pat|pid|id)?[-_]?\d+)"
    r"[-_](?:frame|slice|visit|time|session|ses|scan|phase|rep|day|n|s|t|f|v)[-_]?\d+.*$",
    re.IGNORECASE,
)
"""Names such as patient001_frame01 or LIDC-IDRI-0003_n1."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Cases of one fold."""

    train: tuple[str, ...]
    val: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Case → group, and how the groups were found."""

    groups: dict[str, str]
    reason: str


def find_groups(
    cases: Sequence[str], *, pattern: str | None = None, table: Path | None = None
) -> Grouping:
    """Groups cases by patient.

    Args:
        cases: Case identifiers.
        pattern: Regular expression; its first group (or the whole match) is the patient.
        table: CSV with the columns case and group (or patient).

    Raises:
        InputError: The table lacks a case or a column.
        UsageError: The pattern is no regular expression or does not match every case.
    """
    if table is not None:
        return Grouping(groups=_from_table(cases, table), reason=f"from {table.name}")
    if pattern is not None:
        return Grouping(groups=_from_pattern(cases, pattern), reason=f"by the pattern {pattern}")
    matches = {case: _PATIENT.match(case) for case in cases}
    groups = {case: match["group"] if match else case for case, match in matches.items()}
    largest = max(Counter(groups.values()).values(), default=1)
    if all(matches.values()) and 1 < largest < len(cases):
        example = next(iter(cases))
        return Grouping(
            groups=groups,
            reason=f"found in the names: '{example}' belongs to '{groups[example]}'",
        )
    return Grouping(groups={case: case for case in cases}, reason="every case is its own group")


def _from_table(cases: Sequence[str], table: Path) -> dict[str, str]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{table}: cannot be read ({error}).") from None
    columns = rows[0].keys() if rows else ()
    column = next((name for name in ("group", "patient", "subject") if name in columns), None)
    if "case" not in columns or column is None:
        raise InputError(f"{table}: needs the columns case and group, has {list(columns)}.")
    groups = {row["case"]: row[column] for row in rows}
    missing = [case for case in cases if not groups.get(case)]
    if missing:
        raise InputError(
            f"{table}: no group for the case '{missing[0]}' and {len(missing) - 1} more."
        )
    return {case: groups[case] for case in cases}


def _from_pattern(cases: Sequence[str], pattern: str) -> dict[str, str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--group-pattern '{pattern}' is no regular expression ({error})."
        ) from None
    groups = {}
    for case in cases:
        match = compiled.search(case)
        if match is None:
            raise UsageError(f"--group-pattern '{pattern}' does not match the case '{case}'.")
        groups[case] = match[1] if compiled.groups else match[0]
    return groups


def make_folds(
    presence: Mapping[str, Sequence[str]],
    groups: Mapping[str, str],
    *,
    num_folds: int,
    seed: int,
) -> tuple[Fold, ...]:
    """Deals groups out to folds so that every class is spread evenly.

    Groups with rare classes are dealt first, each to the fold that lacks its classes most.

    Args:
        presence: Case → classes that it has.
        groups: Case → group.
        num_folds: Number of folds.
        seed: Breaks ties.

    Raises:
        InputError: There are fewer groups than folds.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for case in sorted(presence):
        members[groups[case]].append(case)
    if num_folds < 2:
        raise UsageError(f"--folds {num_folds}: at least 2 are needed.")
    if len(members) < num_folds:
        raise InputError(
            f"{len(presence)} cases in {len(members)} groups are too few cases for {num_folds} "
            f"folds. Add cases or use --folds {max(2, len(members))}."
        )
    counts = {
        name: Counter(c for case in cases for c in presence[case])
        for name, cases in members.items()
    }
    total: Counter[str] = Counter()
    for count in counts.values():
        total.update(count)
    names = sorted(members)
    np.random.default_rng(seed).shuffle(names)

    def rarity(name: str) -> tuple[float, int]:
        rare = min((total[item] for item in counts[name]), default=len(presence) + 1)
        return rare, -len(members[name])

    have: list[Counter[str]] = [Counter() for _ in range(num_folds)]
    sizes = [0] * num_folds
    groups_in = [0] * num_folds
    dealt: list[list[str]] = [[] for _ in range(num_folds)]
    for name in sorted(names, key=rarity):
        rarest = sorted(counts[name], key=lambda item: total[item])

        def need(fold: int, rarest: list[str] = rarest) -> tuple[float, ...]:
            return (sizes[fold], *(have[fold][item] for item in rarest), groups_in[fold])

        fold = min(range(num_folds), key=need)
        dealt[fold].extend(members[name])
        have[fold].update(counts[name])
        sizes[fold] += len(members[name])
        groups_in[fold] += 1
    everything = sorted(presence)
    return tuple(
        Fold(
            train=tuple(case for case in everything if case not in set(val)),
            val=tuple(sorted(val)),
        )
        for val in dealt
    )


def read_splits(path: Path, cases: Sequence[str]) -> tuple[Fold, ...]:
    """Reads nnU-Net's splits_final.json.

    Raises:
        InputError: It is no list of {"train": […], "val": […]}, names unknown cases, or a case is
            in both parts of a fold.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run autoseg_plan first.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}).") from None
    expectation = 'expected a list of {"train": [cases], "val": [cases]}'
    if not isinstance(plain, list) or not plain:
        raise InputError(f"{path}: {expectation}.")
    known = set(cases)
    folds = []
    for index, item in enumerate(plain):
        if not isinstance(item, dict) or not {"train", "val"} <= set(item):
            raise InputError(f"{path}: fold {index} is not as expected; {expectation}.")
        fold = Fold(train=tuple(item["train"]), val=tuple(item["val"]))
        unknown = sorted({*fold.train, *fold.val} - known)
        if unknown:
            raise InputError(f"{path}: fold {index} names '{unknown[0]}', which is no case.")
        both = sorted(set(fold.train) & set(fold.val))
        if both:
            raise InputError(f"{path}: fold {index} trains and validates on '{both[0]}'.")
        if not fold.train:
            raise InputError(f"{path}: fold {index} has no training cases.")
        folds.append(fold)
    return tuple(folds)


def write_splits(path: Path, folds: Sequence[Fold]) -> None:
    """Writes nnU-Net's splits_final.json."""
    plain = [{"train": list(fold.train), "val": list(fold.val)} for fold in folds]
    write_text(path, json.dumps(plain, indent=1))
