"""What planning left in a workspace, read back."""

from __future__ import annotations

from autoseg.datasets.folds import Fold
from autoseg.datasets.splits import read_splits
from autoseg.errors import InputError, UsageError
from autoseg.schema import serialise
from autoseg.schema.dataset import Dataset
from autoseg.schema.folds import FoldOrigin
from autoseg.schema.plan import Plan
from autoseg.workspace import Workspace

ALL = "all"


def load_plan(workspace: Workspace) -> Plan:
    """Reads the plan.

    Raises:
        InputError: There is none.
    """
    if not workspace.plan.is_file():
        raise InputError(f"{workspace.plan}: no such file. Run autoseg_plan first.")
    return serialise.load(Plan, workspace.plan)


def load_dataset(workspace: Workspace) -> Dataset:
    """Reads the data set's description.

    Raises:
        InputError: There is none.
    """
    if not workspace.dataset.is_file():
        raise InputError(f"{workspace.dataset}: no such file. Run autoseg_plan first.")
    return serialise.load(Dataset, workspace.dataset)


def load_fold(workspace: Workspace, dataset: Dataset, fold: int | str) -> Fold:
    """Cases of a fold; "all" trains on every case and validates on the same.

    Raises:
        UsageError: There is no such fold.
    """
    names = tuple(case.identifier for case in dataset.cases)
    if fold == ALL:
        return Fold(train=names, val=())
    found = load_folds(workspace, dataset)
    if not found:
        raise UsageError(
            f"There is no fold {fold}: {workspace.root} has too few cases to leave any out. Train "
            "the fold 'all'; nothing is left to validate then."
        )
    if not isinstance(fold, int) or not 0 <= fold < len(found):
        raise UsageError(f"There is no fold {fold}. There are 0 to {len(found) - 1}, and all.")
    return found[fold]


def load_groups(workspace: Workspace) -> dict[str, str] | None:
    """Case → patient as planning found it, or None where only the cases' names tell it."""
    if not workspace.fold_origin.is_file():
        return None
    return serialise.load(FoldOrigin, workspace.fold_origin).groups or None


def load_folds(workspace: Workspace, dataset: Dataset) -> tuple[Fold, ...]:
    """All folds of a workspace; none where planning found too few cases for any."""
    has_none = not workspace.splits.is_file() and workspace.fold_origin.is_file()
    if has_none and not serialise.load(FoldOrigin, workspace.fold_origin).digest:
        return ()
    return read_splits(workspace.splits, [case.identifier for case in dataset.cases])
