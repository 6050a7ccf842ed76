"""Which folds a workspace gets: those that are given, or new ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoseg.datasets.folds import Fold, find_groups, make_folds, read_splits
from autoseg.errors import UsageError
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Decision
from autoseg.workspace import Workspace

DEFAULT_FOLDS = 5
SPLITS = "splits_final.json"


@dataclass(frozen=True, kw_only=True)
class Folding:
    """How folds are wanted.

    Attributes:
        number: Number of folds, or None for five.
        pattern: Regular expression that finds the patient in a case name.
        table: CSV with the columns case and group.
        seed: Breaks ties.
    """

    number: int | None
    pattern: str | None
    table: Path | None
    seed: int


def fold_faults(workspace: Workspace, dataset: Dataset, folding: Folding) -> list[str]:
    """Whether there are too few cases for the folds, as a list of at most one fault."""
    if _given_splits(workspace, dataset) is not None or not dataset.cases:
        return []
    number = folding.number or DEFAULT_FOLDS
    names = [case.identifier for case in dataset.cases]
    groups = find_groups(names, pattern=folding.pattern, table=folding.table)
    count = len(set(groups.groups.values()))
    if count >= number:
        return []
    return [
        f"{dataset.root}: {len(names)} cases in {count} groups are too few cases for {number} "
        f"folds. Add cases or use --folds {max(2, count)}."
    ]


def _given_splits(workspace: Workspace, dataset: Dataset) -> Path | None:
    """splits_final.json of the data set, or else of the workspace."""
    for path in (dataset.root / SPLITS, workspace.splits):
        if path.is_file():
            return path
    return None


def find_folds(
    workspace: Workspace, dataset: Dataset, measured: Fingerprint, folding: Folding
) -> tuple[tuple[Fold, ...], Decision]:
    """Takes the folds that are given, or makes them.

    Raises:
        InputError: Given folds do not fit, or there are too few cases.
        UsageError: The workspace has another number of folds.
    """
    names = [case.identifier for case in dataset.cases]
    given = _given_splits(workspace, dataset)
    if given is not None:
        found = read_splits(given, names)
        if folding.number not in (None, len(found)):
            raise UsageError(
                f"{given}: has {len(found)} folds, not {folding.number}. Remove it to make others."
            )
        return found, Decision(
            topic="folds", value=str(len(found)), reason=f"given by {given.name}"
        )
    grouping = find_groups(names, pattern=folding.pattern, table=folding.table)
    presence = {name: tuple(record.labels) for name, record in measured.cases.items()}
    number = folding.number or DEFAULT_FOLDS
    made = make_folds(presence, grouping.groups, num_folds=number, seed=folding.seed)
    count = len(set(grouping.groups.values()))
    return made, Decision(
        topic="folds",
        value=f"{number}, {count} groups",
        reason=f"{grouping.reason}; stratified by the classes present",
    )
