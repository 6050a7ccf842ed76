"""Images that are in a data set twice."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from autoseg.schema.dataset import Case
from autoseg.schema.fingerprint import CaseRecord


def find_duplicates(
    cases: Iterable[Case], records: Mapping[str, CaseRecord], groups: Mapping[str, Hashable]
) -> tuple[list[str], list[str]]:
    """The same image in two groups would be learnt from and validated on; in one it is only odd.

    Images of one value (black frames) tell nothing and are no duplicates.

    Args:
        cases: All cases.
        records: Case → measurements; cases without any are left out.
        groups: Case → what it shares with those that no fold parts it from.

    Returns:
        (faults, notes), each with its file.
    """
    first: dict[tuple[str, Hashable], Case] = {}
    elsewhere: dict[str, Case] = {}
    faults, notes = [], []
    for case in cases:
        record = records.get(case.identifier)
        if record is None or not record.digest:
            continue
        group = groups.get(case.identifier, case.identifier)
        known = elsewhere.setdefault(record.digest, case)
        beside = first.setdefault((record.digest, group), case)
        if beside is not case:
            notes.append(_told(case, beside))
        elif known is not case:
            faults.append(
                f"{_told(case, known)} Remove one, or folds would train on what they validate on; "
                "where both are of one patient, say so with --groups."
            )
    return faults, notes


def _told(case: Case, other: Case) -> str:
    return f"{case.images[0]}: duplicate case: the same voxels as {other.images[0].name}."
