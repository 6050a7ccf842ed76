"""Which cases belong to one patient: found in their names, by a pattern, or from a table."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoseg.errors import InputError, UsageError

_PATIENT = re.compile(
    r"^(?P<group>.*?(?:patient|subject|sub|case|pat|pid|id)?[-_]?\d+)"
    r"[-_](?:frame|slice|visit|time|session|ses|scan|phase|rep|day|n|s|t|f|v)[-_]?\d+.*$",
    re.IGNORECASE,
)
"""Names such as patient001_frame01 or LIDC-IDRI-0003_n1."""
GROUP_COLUMNS = ("group", "patient", "subject")
DELIMITERS = (",", ";", "\t")
MAX_NAMED = 5
"""How many cases a message names; of more it gives the number."""


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Case → group, and how the groups were found.

    Attributes:
        groups: Case → group.
        reason: How they were found.
        warnings: Which cases have no group, and what else does not fit.
    """

    groups: dict[str, str]
    reason: str
    warnings: tuple[str, ...] = ()

    @property
    def num_groups(self) -> int:
        """How many groups there are."""
        return len(set(self.groups.values()))


def find_groups(
    cases: Sequence[str], *, pattern: str | None = None, table: Path | None = None
) -> Grouping:
    """Groups cases by patient; a case without a group is one of its own, and is named.

    Args:
        cases: Case identifiers.
        pattern: Regular expression; its first group (or the whole match) is the patient.
        table: CSV with the columns case and group (or patient, or subject).

    Raises:
        InputError: The table lacks a column, contradicts itself, or knows none of the cases.
        UsageError: The pattern is no regular expression or matches no case.
    """
    if table is not None:
        return _by_table(cases, table)
    if pattern is not None:
        return _by_pattern(cases, pattern)
    return _by_names(cases)


def named(names: Iterable[str]) -> str:
    """Some cases for a message: the first ones by name, of the others the number."""
    found = sorted(names)
    more = len(found) - MAX_NAMED
    listed = ", ".join(f"'{name}'" for name in found[:MAX_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed


def _alone(cases: Sequence[str], found: Mapping[str, str], source: str, remedy: str) -> list[str]:
    """A warning that names the cases without a group, if there are any."""
    rest = [case for case in cases if case not in found]
    if not rest:
        return []
    which = "1 case" if len(rest) == 1 else f"{len(rest)} cases"
    return [
        f"{source} no patient for {which}: {named(rest)}. Each counts as a patient of its own; "
        f"{remedy}"
    ]


def _by_names(cases: Sequence[str]) -> Grouping:
    matches = {case: _PATIENT.match(case) for case in cases}
    found = {case: match["group"] for case, match in matches.items() if match}
    groups = set(found.values())
    for case in cases:  # patient001 and patient001_ED belong to patient001_frame01
        if case not in found and (group := _longest_start(case, groups)):
            found[case] = group
    largest = max(Counter(found.values()).values(), default=1)
    # One group that most cases share is no patient but the name of the data set.
    is_name_of_all = len(groups) == 1 and 2 * largest > len(cases)
    if largest == 1 or is_name_of_all:
        return Grouping(groups={case: case for case in cases}, reason="every case is its own group")
    example = next(iter(found))
    remedy = "where they belong to one, say so with --groups."
    return Grouping(
        groups={case: found.get(case, case) for case in cases},
        reason=f"found in the names: '{example}' belongs to '{found[example]}'",
        warnings=tuple(_alone(cases, found, "The names tell", remedy)),
    )


def _longest_start(case: str, groups: set[str]) -> str | None:
    """The group whose name a case's name is, or begins with before a separator."""
    ends = (index for index, letter in enumerate(case) if not letter.isalnum())
    starts = (case[:end] for end in (len(case), *sorted(ends, reverse=True)))
    return next((start for start in starts if start in groups), None)


def _by_pattern(cases: Sequence[str], pattern: str) -> Grouping:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--group-pattern '{pattern}' is no regular expression ({error})."
        ) from None
    found = {}
    for case in cases:
        match = compiled.search(case)
        group = match and (match[1] if compiled.groups else match[0])
        if group:
            found[case] = group
    if cases and not found:
        raise UsageError(
            f"--group-pattern '{pattern}' finds no patient in any case, for example not in "
            f"'{cases[0]}'."
        )
    source = f"--group-pattern '{pattern}' finds"
    return Grouping(
        groups={case: found.get(case, case) for case in cases},
        reason=f"by the pattern {pattern}",
        warnings=tuple(_alone(cases, found, source, "where that is wrong, change the pattern.")),
    )


def _by_table(cases: Sequence[str], table: Path) -> Grouping:
    rows = _read_rows(table)
    listed: dict[str, set[str]] = {}
    for case, group in rows:
        listed.setdefault(case, set()).add(group)
    twice = {case: sorted(groups) for case, groups in listed.items() if len(groups) > 1}
    if twice:
        raise InputError(
            "\n".join(
                f"{table}: '{case}' is in the groups {named(groups)}. Leave one row of it."
                for case, groups in sorted(twice.items())
            )
        )
    known = set(cases)
    found = {case: next(iter(groups)) for case, groups in listed.items() if case in known}
    if cases and not found:
        raise InputError(
            f"{table}: names none of the cases ({named(cases)}). The column case holds names "
            "without channel number and file ending."
        )
    warnings = _alone(cases, found, f"{table}: has", "where they belong to one, add their rows.")
    if unknown := sorted(set(listed) - known):
        warnings.append(f"{table}: the data set has no case {named(unknown)}.")
    return Grouping(
        groups={case: found.get(case, case) for case in cases},
        reason=f"from {table.name}",
        warnings=tuple(warnings),
    )


def _read_rows(table: Path) -> list[tuple[str, str]]:
    """Case and group of every row that has both, whatever program wrote the table."""
    try:
        text = table.read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip()]
        first = lines[0] if lines else ""
        delimiter = max(DELIMITERS, key=first.count)
        reader = csv.reader(lines, delimiter=delimiter)
        rows = [[cell.strip() for cell in row] for row in reader]
    except FileNotFoundError:
        raise InputError(f"{table}: no such file; --groups needs a CSV file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: cannot be read ({error}). Save it as CSV in UTF-8.") from None
    header = [cell.casefold() for cell in rows[0]] if rows else []
    column = next((name for name in GROUP_COLUMNS if name in header), None)
    if "case" not in header or column is None:
        raise InputError(
            f"{table}: needs the columns case and group, has {rows[0] if rows else []}."
        )
    where = header.index("case"), header.index(column)
    full = [row for row in rows[1:] if len(row) > max(where)]
    return [(row[where[0]], row[where[1]]) for row in full if row[where[0]] and row[where[1]]]
