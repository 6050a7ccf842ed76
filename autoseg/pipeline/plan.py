"""Plans: checks and measures a data set, chooses configurations and folds, preprocesses."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from autoseg import planned
from autoseg.datasets.duplicates import find_duplicates
from autoseg.datasets.fingerprint import make_fingerprint, signature
from autoseg.datasets.folder import read_dataset, survey_dataset
from autoseg.datasets.recipes import apply_recipe, load_recipe
from autoseg.errors import DatasetError, InputError, UsageError
from autoseg.images.files import read_image
from autoseg.parallel import default_workers
from autoseg.pipeline.fold_request import request_folds
from autoseg.pipeline.folding import (
    FoldChoice,
    find_folds,
    fold_faults,
    inseparable,
    keeps_folds,
    save_folds,
)
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
from autoseg.schema.plan import Configuration, Plan
from autoseg.schema.plan_request import PlanOptions, PlanRequest, plan_request
from autoseg.schema.recipe import Recipe
from autoseg.workspace import Workspace

logger = logging.getLogger(__name__)


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
    folds = request_folds(with_recipe(request, _recipe(request)))
    made = reusable(workspace, Path(dataset), request) if reuse else None
    if made is not None and keeps_folds(workspace, folds):
        logger.info("The plan was made already, for the same files and options.")
    else:
        made = _plan(Path(dataset), workspace, request, workers)
    if preprocess:
        preprocess_workspace(workspace.root, workers=workers)
    return made


def _recipe(request: PlanRequest) -> Recipe | None:
    return load_recipe(request.recipe) if request.recipe else None


def _plan(root: Path, workspace: Workspace, request: PlanRequest, workers: int) -> Plan:
    """Plans anew and writes everything into the workspace."""
    make_plan = PLANNERS[request.planner]
    check_names(request)
    recipe = _recipe(request)
    wishes = with_recipe(request, recipe)
    # Refuses wrong words before the data are read.
    make_budget(request.device, request.memory, request.time_budget)
    dataset, warnings, errors = survey_dataset(root)
    if dataset is None:
        raise DatasetError(errors)
    if recipe is not None:
        dataset = apply_recipe(dataset, recipe)
    check_workspace(workspace, dataset)
    fold_request = request_folds(wishes)
    errors += fold_faults(workspace, dataset, fold_request)
    groups = inseparable(workspace, dataset, fold_request)
    fingerprint = measured_fingerprint(workspace, dataset, workers, errors, warnings, groups)
    folds = find_folds(workspace, dataset, fingerprint, fold_request)
    budget = measuring_budget(
        request.device, request.memory, request.time_budget, dataset, fingerprint
    )
    made = make_plan(dataset, fingerprint, budget, planner_request(wishes, recipe, folds.groups))
    made = with_choices(made, wishes)
    made = replace(made, decisions=(*made.decisions, folds.decision), request=request)
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
        not item.name.startswith(".")
        and item.name not in ("logs", "fingerprint.json", "splits_final.json")
        for item in workspace.root.iterdir()
    ):
        raise UsageError(
            f"{workspace.root}: is not empty and no workspace of autoseg. Choose another folder."
        )


def measured_fingerprint(
    workspace: Workspace,
    dataset: Dataset,
    workers: int,
    errors: Sequence[str],
    warnings: Sequence[str],
    groups: Mapping[str, Hashable],
) -> Fingerprint:
    """The fingerprint; an earlier one is taken where no file has changed since."""
    if workspace.fingerprint.is_file() and not errors:
        try:
            earlier = serialise.load(Fingerprint, workspace.fingerprint)
        except InputError:
            earlier = None
        if earlier is not None and earlier.signature == signature(dataset):
            logger.info("The data set has not changed since its fingerprint was made.")
            if duplicates := find_duplicates(dataset.cases, earlier.cases, groups)[0]:
                raise DatasetError(duplicates)
            for note in earlier.warnings:
                logger.warning(note)
            return earlier
    return make_fingerprint(
        dataset, workers=workers, errors=errors, warnings=warnings, groups=groups
    )


def save_all(
    workspace: Workspace,
    dataset: Dataset,
    measured: Fingerprint,
    chosen: FoldChoice,
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
    save_folds(workspace, chosen)
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
