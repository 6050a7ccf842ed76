"""What planning left in a workspace, read back."""

from __future__ import annotations

from autoseg.datasets.folds import Fold, read_splits
from autoseg.errors import InputError, UsageError
from autoseg.schema import serialise
from autoseg.schema.dataset import Dataset
from autoseg.schema.plan import Plan
from autoseg.workspace import Workspace

ALL = "all"


def load_plan(place: Workspace) -> Plan:
    """Reads the plan.

    Raises:
        InputError: There is none.
    """
    if not place.plan.is_file():
        raise InputError(f"{place.plan}: no such file. Run autoseg_plan first.")
    return serialise.load(Plan, place.plan)


def load_dataset(place: Workspace) -> Dataset:
    """Reads the data set's description.

    Raises:
        InputError: There is none.
    """
    if not place.dataset.is_file():
        raise InputError(f"{place.dataset}: no such file. Run autoseg_plan first.")
    return serialise.load(Dataset, place.dataset)


def load_fold(place: Workspace, dataset: Dataset, fold: int | str) -> Fold:
    """Cases of a fold; "all" trains on every case and validates on the same.

    Raises:
        UsageError: There is no such fold.
    """
    names = tuple(case.identifier for case in dataset.cases)
    if fold == ALL:
        return Fold(train=names, val=())
    found = read_splits(place.splits, names)
    if not isinstance(fold, int) or not 0 <= fold < len(found):
        raise UsageError(f"There is no fold {fold}. There are 0 to {len(found) - 1}, and all.")
    return found[fold]


def load_folds(place: Workspace, dataset: Dataset) -> tuple[Fold, ...]:
    """All folds of a workspace."""
    return read_splits(place.splits, [case.identifier for case in dataset.cases])
