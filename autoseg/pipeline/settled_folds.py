"""Folds that stay: whether options, cases and the data set's own file still fit them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from autoseg.datasets import splits
from autoseg.datasets.folds import Fold
from autoseg.datasets.groups import find_groups, named
from autoseg.errors import InputError, UsageError
from autoseg.pipeline.fold_request import FoldRequest
from autoseg.schema.folds import FoldOrigin


def changed_groups(origin: FoldOrigin, names: Sequence[str], request: FoldRequest) -> bool:
    """Whether other cases than before are to stay together."""
    if not request.has_groups:
        return False
    found = find_groups(names, pattern=request.pattern, table=request.table).groups
    known = [name for name in names if name in origin.groups]
    return _partition(known, found) != _partition(known, origin.groups)


def _partition(names: Iterable[str], groups: Mapping[str, str]) -> set[frozenset[str]]:
    members: dict[str, set[str]] = {}
    for name in names:
        members.setdefault(groups[name], set()).add(name)
    return set(map(frozenset, members.values()))


def settled_folds(
    path: Path,
    names: Sequence[str],
    request: FoldRequest,
    origin: FoldOrigin | None,
    given: tuple[Path, Sequence[Fold]] | None,
) -> tuple[tuple[Fold, ...], tuple[str, ...]]:
    """A workspace's folds, which stay, and warnings.

    Args:
        path: The workspace's splits file.
        names: All cases.
        request: How folds are wanted now.
        origin: How the file came about, or None where a user wrote it.
        given: The data set's own splits file, if there is one, and its folds.

    Raises:
        InputError: The data set's file has other folds, or new cases are in none of them.
        UsageError: An option asks for other folds.
    """
    folds = splits.read_splits(path, names)
    if given is not None and _as_sets(given[1]) != _as_sets(folds):
        raise InputError(
            f"{given[0]} and {path} have different folds, and the workspace's count. Remove the "
            f"first to keep them. {_anew(path, 'To take those of the data set')}"
        )
    if origin is not None and origin.given is None:
        _check_unchanged(path, folds, origin, names, request)
        return folds, ()
    check_options(path, folds, names, request)
    return folds, left_out(path, folds, names)


def _anew(path: Path, aim: str) -> str:
    return (
        f"{aim}, remove {path}, plan again and train with --overwrite, or use another --workspace."
    )


def _as_sets(folds: Iterable[Fold]) -> list[tuple[set[str], set[str]]]:
    return [(set(fold.train), set(fold.val)) for fold in folds]


def _check_unchanged(
    path: Path,
    folds: Sequence[Fold],
    origin: FoldOrigin,
    names: Sequence[str],
    request: FoldRequest,
) -> None:
    """Refuses what would change folds that models have learnt from."""
    told = (
        "Models have learnt from these folds: leave the option as it was. "
        f"{_anew(path, 'For other folds')}"
    )
    if request.number not in (None, len(folds)):
        raise UsageError(f"--num-folds {request.number}: {path} has {len(folds)}. {told}")
    if request.seed != origin.seed:
        raise UsageError(
            f"--seed {request.seed}: {path} was made with --seed {origin.seed}. {told}"
        )
    if changed_groups(origin, names, request):
        option = "--groups" if request.table is not None else "--group-pattern"
        raise UsageError(f"{option}: {path} was made with other groups ({origin.reason}). {told}")
    if new := set(names) - _used(folds):
        raise InputError(
            f"{path}: {_count(new)} in no fold: {named(new)}, and models have learnt from these "
            f"folds. {_anew(path, 'To learn from all cases')}"
        )


def _used(folds: Iterable[Fold]) -> set[str]:
    return {case for fold in folds for case in (*fold.train, *fold.val)}


def _count(names: Iterable[str]) -> str:
    number = len(list(names))
    return "1 case is" if number == 1 else f"{number} cases are"


def check_options(
    path: Path, folds: Sequence[Fold], names: Sequence[str], request: FoldRequest
) -> dict[str, str] | None:
    """Refuses options that somebody's own folds do not fit.

    Returns:
        Case → patient, where an option tells it.
    """
    if request.number not in (None, len(folds)):
        raise UsageError(
            f"--num-folds {request.number}: {path} has {len(folds)}. Leave the option out, or "
            "remove the file to make others."
        )
    if not request.has_groups:
        return None
    groups = find_groups(names, pattern=request.pattern, table=request.table).groups
    for index, fold in enumerate(folds):
        if both := {groups[name] for name in fold.train} & {groups[name] for name in fold.val}:
            option = "--groups" if request.table is not None else "--group-pattern"
            raise UsageError(
                f"{option}: fold {index} of {path} trains and validates on cases of {named(both)}. "
                "Leave the option out, correct the file, or remove it to make other folds."
            )
    return groups


def left_out(path: Path, folds: Sequence[Fold], names: Sequence[str]) -> tuple[str, ...]:
    """A warning that names cases which are in no fold, if there are any."""
    if not (rest := set(names) - _used(folds)):
        return ()
    return (
        f"{path}: {_count(rest)} in no fold: {named(rest)}. No fold learns from them or is scored "
        "on them, only 'all' learns from them. Add them to the file if that is not meant.",
    )
