"""Which folds a workspace gets, and whether those that it has still fit.

The one rule: a workspace's splits_final.json says which cases every command learns from and scores.
Planning makes it, and changes it only while autoseg's own file lies there and no model has learnt
from it:

- Without one, that of the data set is copied; without that, folds are made from the options.
- What autoseg made or copied is made anew where options, cases or the data set's file have changed,
  as long as no model is there. Options that are left out stay as they were.
- Once there are models, or where a user wrote the file, it stays. An option, a new case or a file
  of the data set that asks for other folds is then an error that names the remedy.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoseg import planned
from autoseg.datasets import splits
from autoseg.datasets.folds import MIN_FOLDS, Fold, make_folds
from autoseg.datasets.groups import Grouping, find_groups
from autoseg.errors import InputError
from autoseg.pipeline.fold_request import FoldRequest
from autoseg.pipeline.settled_folds import changed_groups, check_options, left_out, settled_folds
from autoseg.schema import serialise
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.folds import FoldOrigin
from autoseg.schema.plan import Decision
from autoseg.workspace import Workspace

logger = logging.getLogger(__name__)

DEFAULT_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class FoldChoice:
    """The folds of a workspace.

    Attributes:
        folds: The folds; none where there are too few cases.
        decision: For the plan.
        origin: How they came about, where they are new.
        groups: Case → patient as options told, now or when the folds were made; else None.
    """

    folds: tuple[Fold, ...]
    decision: Decision
    origin: FoldOrigin | None
    groups: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class _Verdict:
    """What is to be done: keep or copy `folds`, or make some from `grouping`."""

    folds: tuple[Fold, ...] | None = None
    grouping: Grouping | None = None
    origin: FoldOrigin | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()


def fold_faults(workspace: Workspace, dataset: Dataset, request: FoldRequest) -> list[str]:
    """Faults of splits files and tables, and whether there are too few cases.

    Raises:
        UsageError: An option does not fit the folds that are there.
    """
    if not dataset.cases:
        return []
    try:
        _judge(workspace, dataset, request)
    except InputError as error:
        return str(error).splitlines()
    return []


def inseparable(
    workspace: Workspace, dataset: Dataset, request: FoldRequest
) -> dict[str, Hashable]:
    """Case → what it shares with those cases that no fold parts it from.

    Nothing where the folds have faults, see `fold_faults`.
    """
    try:
        verdict = _judge(workspace, dataset, request)
    except InputError:
        return {}
    if verdict.grouping is not None:
        return dict(verdict.grouping.groups)
    names = [case.identifier for case in dataset.cases]
    validated = [set(fold.val) for fold in verdict.folds or ()]
    return {name: tuple(name in fold for fold in validated) for name in names}


def keeps_folds(workspace: Workspace, request: FoldRequest) -> bool:
    """Whether a workspace's folds are those that are wanted now.

    Raises:
        UsageError: They are others, and cannot be made anew.
        InputError: Likewise.
    """
    verdict = _judge(workspace, planned.load_dataset(workspace), request)
    return verdict.folds is not None and verdict.origin is None


def find_folds(
    workspace: Workspace, dataset: Dataset, measured: Fingerprint, request: FoldRequest
) -> FoldChoice:
    """Takes the folds that are there or given, or makes them.

    Raises:
        InputError: Given folds do not fit, or there are too few cases.
        UsageError: An option does not fit the folds that are there.
    """
    verdict = _judge(workspace, dataset, request)
    for warning in verdict.warnings:
        logger.warning(warning)
    if verdict.origin is not None and workspace.splits.is_file():
        logger.info("No model has learnt from the folds yet; they are made anew.")
    folds, value = verdict.folds, ""
    if folds is None:
        assert verdict.grouping is not None
        assert verdict.origin is not None
        groups = verdict.grouping.groups
        number = _number(verdict.origin.number, verdict.grouping.num_groups)
        presence = {name: tuple(record.labels) for name, record in measured.cases.items()}
        folds = make_folds(presence, groups, num_folds=number, seed=request.seed) if number else ()
        value = f"{len(folds)}, {verdict.grouping.num_groups} groups"
    decision = Decision(topic="folds", value=value or str(len(folds)), reason=verdict.reason)
    groups = _patients(dataset, request, verdict.origin or _own_origin(workspace))
    return FoldChoice(folds=folds, decision=decision, origin=verdict.origin, groups=groups)


def _patients(
    dataset: Dataset, request: FoldRequest, origin: FoldOrigin | None
) -> Mapping[str, str] | None:
    if request.has_groups:
        names = [case.identifier for case in dataset.cases]
        return find_groups(names, pattern=request.pattern, table=request.table).groups
    return origin.groups or None if origin else None


def save_folds(workspace: Workspace, choice: FoldChoice) -> None:
    """Writes new folds, and how they came about."""
    if choice.origin is None:
        return
    digest = ""
    if choice.folds:
        splits.write_splits(workspace.splits, choice.folds)
        digest = _digest(workspace.splits.read_text(encoding="utf-8"))
    else:
        workspace.splits.unlink(missing_ok=True)
    serialise.save(replace(choice.origin, digest=digest), workspace.fold_origin)


def has_models(workspace: Workspace) -> bool:
    """Whether anything was learnt in a workspace."""
    return any(workspace.runs.rglob("checkpoint_*.pt"))


def _judge(workspace: Workspace, dataset: Dataset, request: FoldRequest) -> _Verdict:
    """Decides between the workspace's folds, the data set's, and new ones."""
    names = [case.identifier for case in dataset.cases]
    path, beside = workspace.splits, dataset.root / splits.NAME
    given = (beside, splits.read_splits(beside, names)) if beside.is_file() else None
    origin = _own_origin(workspace)
    if path.is_file():
        is_fixed = origin is None or has_models(workspace)
        if is_fixed or _is_still_wanted(origin, names, request, given):
            folds, warnings = settled_folds(path, names, request, origin, given)
            reason = f"as before: {origin.reason}" if origin else f"given by {path}"
            return _Verdict(folds=folds, reason=reason, warnings=warnings)
    elif given is None and _is_still_wanted(origin, names, request, None):
        return _Verdict(folds=(), reason="too few cases, as before")
    if given is not None:
        return _copied(*given, names, request)
    return _new(dataset.root, names, _completed(request, origin))


def _own_origin(workspace: Workspace) -> FoldOrigin | None:
    """How the folds came about, where the file is as autoseg wrote it."""
    if not workspace.fold_origin.is_file():
        return None
    origin = serialise.load(FoldOrigin, workspace.fold_origin)
    try:
        found = _digest(workspace.splits.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = ""
    except (OSError, UnicodeDecodeError):
        return None  # reading the folds will say what is wrong
    return origin if found == origin.digest else None


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _completed(request: FoldRequest, origin: FoldOrigin | None) -> FoldRequest:
    """What is wanted, with the earlier options where they are left out."""
    if origin is None:
        return request
    number = origin.number if request.number is None else request.number
    if request.has_groups:
        return replace(request, number=number)
    return replace(request, number=number, pattern=origin.pattern, table=origin.table)


def _is_still_wanted(
    origin: FoldOrigin | None,
    names: Sequence[str],
    request: FoldRequest,
    given: tuple[Path, Sequence[Fold]] | None,
) -> bool:
    """Whether options, cases and the data set's file still ask for the folds that are there."""
    if origin is None:
        return False
    if given is not None:
        return origin.digest == _digest(splits.to_text(given[1]))
    if origin.given is not None:  # the data set's file is gone; what was copied is the truth
        return True
    return (
        set(origin.groups) == set(names)
        and request.number in (None, _number(origin.number, len(set(origin.groups.values()))))
        and request.seed == origin.seed
        and not changed_groups(origin, names, request)
    )


def _copied(
    path: Path, given: Sequence[Fold], names: Sequence[str], request: FoldRequest
) -> _Verdict:
    groups = check_options(path, given, names, request)
    reason = f"given by {path}"
    return _Verdict(
        folds=tuple(given),
        origin=_origin(request, reason, given=path, groups=groups),
        reason=reason,
        warnings=left_out(path, given, names),
    )


def _new(root: Path, names: Sequence[str], request: FoldRequest) -> _Verdict:
    """Folds that are to be made.

    Raises:
        InputError: There are fewer patients than folds were asked for.
    """
    grouping = find_groups(names, pattern=request.pattern, table=request.table)
    count = grouping.num_groups
    told = f"{root}: {_plural(len(names), 'case')} in {_plural(count, 'group')}"
    warnings = list(grouping.warnings)
    if request.number is not None and request.number > count:
        remedy = f"use --num-folds {count}" if count >= MIN_FOLDS else "leave --num-folds out"
        raise InputError(
            f"{told} are too few cases for {request.number} folds. Add cases or {remedy}."
        )
    if count < MIN_FOLDS:
        warnings.append(
            f"{told} make no folds. Train on all cases with the fold 'all'; nothing is left to "
            "validate then."
        )
    elif request.number is None and count < DEFAULT_FOLDS:
        warnings.append(f"{told} make {count} folds instead of {DEFAULT_FOLDS}.")
    reason = f"{grouping.reason}; stratified by the classes present"
    return _Verdict(
        grouping=grouping,
        origin=_origin(request, reason, groups=grouping.groups),
        reason=reason,
        warnings=tuple(warnings),
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _number(asked: int | None, num_groups: int) -> int:
    """How many folds are made; 0 where there are too few patients for any."""
    number = min(DEFAULT_FOLDS, num_groups) if asked is None else asked
    return number if number >= MIN_FOLDS else 0


def _origin(
    request: FoldRequest,
    reason: str,
    *,
    given: Path | None = None,
    groups: Mapping[str, str] | None = None,
) -> FoldOrigin:
    return FoldOrigin(
        reason=reason,
        digest="",
        given=given,
        number=request.number,
        pattern=request.pattern,
        table=request.table,
        seed=request.seed,
        groups=dict(groups or {}),
    )
