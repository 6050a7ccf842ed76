"""Models are tied to their cases: none is scored on cases that it knows, or teaches with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autoseg.datasets.folds import Fold
from autoseg.datasets.groups import named
from autoseg.errors import InputError
from autoseg.workspace import Workspace

if TYPE_CHECKING:
    from autoseg.checkpoint import Provenance


def learnt_cases(provenances: Iterable[Provenance]) -> set[str]:
    """Cases that a model or one of its earlier stages has learnt from."""
    return {case for item in provenances for case in item.train_cases}


def fold_fault(provenances: Sequence[Provenance], fold: Fold) -> str | None:
    """What is wrong with a model for a fold as it is now, or None.

    A model belongs to a fold while both have the same training and the same validation cases.

    Args:
        provenances: That of the model first, then those of its earlier stages.
        fold: The fold now.
    """
    if not all(item.train_cases for item in provenances):
        return "does not say which cases it has learnt from (it was imported)"
    learnt, train = learnt_cases(provenances), set(fold.train)
    if leaked := learnt & set(fold.val):
        return f"has learnt from validation cases of the fold as it is now: {named(leaked)}"
    if gone := learnt - train:
        return f"has learnt from cases that the fold does not train on now: {named(gone)}"
    if new := train - learnt:
        return f"has not learnt from training cases that the fold has now: {named(new)}"
    if set(provenances[0].val_cases) != set(fold.val):
        return "was validated on other cases than the fold has now"
    return None


def check_fold(provenances: Sequence[Provenance], fold: Fold, model: Path, *, command: str) -> None:
    """Refuses a model whose fold has changed since it was trained.

    Args:
        provenances: That of the model first, then those of its earlier stages.
        fold: The fold now.
        model: File or folder of the model.
        command: What trains it anew.

    Raises:
        InputError: It has changed.
    """
    if fault := fold_fault(provenances, fold):
        raise InputError(
            f"{model}: {fault}. Train it anew with {command}, or bring back the splits_final.json "
            "that it was trained with."
        )


def train_command(workspace: Workspace, configuration: str, fold: int | str) -> str:
    """The command that trains a network anew."""
    return f"autoseg_train {workspace.root} {configuration} {fold} --overwrite"
