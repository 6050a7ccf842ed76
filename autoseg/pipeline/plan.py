"""Plans: checks and measures a data set, chooses configurations and folds, preprocesses."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from autoseg import planned
from autoseg.datasets.fingerprint import make_fingerprint, signature
from autoseg.datasets.folder import read_dataset, survey_dataset
from autoseg.datasets.folds import Fold, find_groups, make_folds, read_splits, write_splits
from autoseg.datasets.recipes import apply_recipe, load_recipe
from autoseg.errors import DatasetError, InputError, UsageError
from autoseg.images.files import read_image
from autoseg.parallel import default_workers
from autoseg.planned import load_dataset, load_plan
from autoseg.planning.budget import make_budget, measuring_budget
from autoseg.planning.choices import check_names, planner_request, with_choices, with_recipe
from autoseg.planning.explain import costs, explain
from autoseg.planning.planners import PLANNERS
from autoseg.preprocessing.store import preprocess_cases, store_key
from autoseg.runlog import log_file
from autoseg.schema import serialise
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration, Decision, Plan
from autoseg.schema.plan_request import PlanOptions, PlanRequest, plan_request
from autoseg.workspace import Workspace

logger = logging.getLogger(__name__)

DEFAULT_FOLDS = 5
SPLITS = "splits_final.json"


def plan(
    dataset: Path | str,
    workspace: Path | str,
    *,
    preprocess: bool = True,
    reuse: bool = False,
    workers: int | None = None,
    **options: Unpack[PlanOptions],
) -> Plan:
    """Checks and measures a data set, plans for it, makes folds and preprocesses the cases.

    Args:
        dataset: Folder in nnU-Net's raw format.
        workspace: Folder in which everything is made.
        preprocess: Also preprocess.
        reuse: Take the workspace's plan where files and options are the same.
        workers: Processes; None takes all processors.
        options: Fields of a `PlanRequest`, such as time_budget="10m".

    Returns:
        The plan, which is also in the workspace.

    Raises:
        DatasetError: The data set has faults; all of them are listed.
        UsageError: An argument does not fit.
    """
    request = plan_request(options)
    workspace = Workspace(Path(workspace))
    workers = workers or default_workers()
    made = reusable(workspace, Path(dataset), request) if reuse else None
    if made is None:
        made = _plan(Path(dataset), workspace, request, workers)
    else:
        logger.info("The plan was made already, for the same files and options.")
    if preprocess:
        preprocess_workspace(workspace.root, workers=workers)
    return made


def _plan(root: Path, workspace: Workspace, request: PlanRequest, workers: int) -> Plan:
    """Plans anew and writes everything into the workspace."""
    make_plan = PLANNERS[request.planner]
    check_names(request)
    recipe = load_recipe(request.recipe) if request.recipe else None
    wishes = with_recipe(request, recipe)
    # Refuses wrong words before the data are read.
    make_budget(request.device, request.memory, request.time_budget)
    dataset, warnings, errors = survey_dataset(root)
    if dataset is None:
        raise DatasetError(errors)
    if recipe is not None:
        dataset = apply_recipe(dataset, recipe)
    check_workspace(workspace, dataset)
    folding = Folding(
        number=wishes.num_folds,
        pattern=wishes.group_pattern,
        table=Path(wishes.groups) if wishes.groups else None,
        seed=wishes.seed,
    )
    errors += fold_faults(workspace, dataset, folding)
    fingerprint = measured_fingerprint(workspace, dataset, workers, errors, warnings)
    folds, decision = find_folds(workspace, dataset, fingerprint, folding)
    budget = measuring_budget(
        request.device, request.memory, request.time_budget, dataset, fingerprint
    )
    made = make_plan(dataset, fingerprint, budget, planner_request(wishes, recipe))
    made = with_choices(made, wishes)
    made = replace(made, decisions=(*made.decisions, decision), request=request)
    with log_file(workspace.logs / "plan.log"):
        text = explain(made, costs(made, budget))
        save_all(workspace, dataset, fingerprint, folds, made, text)
        for line in text.splitlines():
            logger.info(line)
    return made


def preprocess_workspace(
    workspace: Path | str,
    *,
    configurations: Sequence[Configuration] | None = None,
    workers: int | None = None,
) -> int:
    """Preprocesses all cases of a workspace that are not done yet.

    Args:
        workspace: Planned workspace.
        configurations: For which configurations, all of the plan where None.
        workers: Processes.

    Returns:
        How many cases were done now.
    """
    workspace = Workspace(Path(workspace))
    dataset = planned.load_dataset(workspace)
    chosen = configurations or tuple(planned.load_plan(workspace).configurations.values())
    targets = {
        workspace.preprocessed(store_key(configuration)): configuration for configuration in chosen
    }
    for case in dataset.cases:
        for path in (*case.images, *case.annotations):
            if not path.exists():
                raise InputError(
                    f"{path}: is gone since the plan was made. Run autoseg_plan again."
                )
    with log_file(workspace.logs / "preprocess.log"):
        return preprocess_cases(dataset.cases, targets, workers=workers or default_workers())


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


def check_workspace(workspace: Workspace, dataset: Dataset) -> None:
    """Refuses folders that hold something else.

    Raises:
        UsageError: The folder belongs to another data set or is not a workspace.
    """
    if workspace.root.is_file():
        raise UsageError(f"{workspace.root}: is a file; --workspace needs a folder.")
    if workspace.root.resolve() == dataset.root:
        raise UsageError(
            f"{workspace.root}: is the data set; choose another folder for --workspace."
        )
    if workspace.dataset.is_file():
        owner = load_dataset(workspace).root
        if owner != dataset.root:
            raise UsageError(
                f"{workspace.root}: is the workspace of {owner}. Choose another for {dataset.root}."
            )
    elif workspace.root.is_dir() and any(
        not item.name.startswith(".") and item.name not in ("logs", "fingerprint.json")
        for item in workspace.root.iterdir()
    ):
        raise UsageError(
            f"{workspace.root}: is not empty and no workspace of autoseg. Choose another folder."
        )


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


def measured_fingerprint(
    workspace: Workspace,
    dataset: Dataset,
    workers: int,
    errors: Sequence[str],
    warnings: Sequence[str],
) -> Fingerprint:
    """The fingerprint; an earlier one is taken where no file has changed since."""
    if workspace.fingerprint.is_file() and not errors:
        try:
            earlier = serialise.load(Fingerprint, workspace.fingerprint)
        except InputError:
            earlier = None
        if earlier is not None and earlier.signature == signature(dataset):
            logger.info("The data set has not changed since its fingerprint was made.")
            for note in earlier.warnings:
                logger.warning(note)
            return earlier
    return make_fingerprint(dataset, workers=workers, errors=errors, warnings=warnings)


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


def save_all(
    workspace: Workspace,
    dataset: Dataset,
    measured: Fingerprint,
    chosen: Sequence[Fold],
    plan: Plan,
    text: str,
) -> None:
    """Writes everything; an earlier plan that differs is kept under another name.

    Args:
        workspace: The workspace.
        dataset: The data set.
        measured: Its fingerprint.
        chosen: Its folds.
        plan: The plan.
        text: The plan for people.
    """
    serialise.save(measured, workspace.fingerprint)
    serialise.save(dataset, workspace.dataset)
    if not workspace.splits.is_file():
        write_splits(workspace.splits, chosen)
    if workspace.plan.is_file():
        try:
            differs = serialise.load(Plan, workspace.plan).configurations != plan.configurations
        except InputError:
            differs = True
        if differs:
            number = 1
            while (kept := workspace.root / f"plan-{number}.yaml").exists():
                number += 1
            shutil.copy2(workspace.plan, kept)
            logger.info("The plan has changed; the earlier one is kept as %s.", kept.name)
    serialise.save(plan, workspace.plan)
    serialise.write_text(workspace.plan_text, text)


def default_configuration(root: Path) -> str:
    """3d_fullres, or 2d where the first image is two-dimensional."""
    dataset, _ = read_dataset(root)
    _, geometry = read_image(dataset.cases[0].images[0])
    return "2d" if geometry.shape[0] == 1 else "3d_fullres"


def reusable(workspace: Workspace, root: Path, request: PlanRequest) -> Plan | None:
    """The workspace's plan where it was made for the same request and unchanged files."""
    try:
        plan = load_plan(workspace)
        earlier = serialise.load(Fingerprint, workspace.fingerprint)
        dataset, _ = read_dataset(root)
        if request.recipe is not None:
            dataset = apply_recipe(dataset, load_recipe(request.recipe))
    except InputError:
        return None
    same = plan.request == request and earlier.signature == signature(dataset)
    return plan if same else None
