"""Plans: checks and measures a data set, chooses configurations and folds, preprocesses."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autoseg import planned
from autoseg.datasets.fingerprint import make_fingerprint, signature
from autoseg.datasets.folder import read_dataset, survey_dataset
from autoseg.datasets.recipes import apply_recipe, load_recipe
from autoseg.errors import DatasetError, InputError, UsageError
from autoseg.images.files import read_image
from autoseg.parallel import default_workers
from autoseg.pipeline.fold_request import request_folds
from autoseg.pipeline.folding import FoldChoice, find_folds, fold_faults, keeps_folds, save_folds
from autoseg.planned import load_dataset, load_plan
from autoseg.planning.budget import make_budget, measuring_budget
from autoseg.planning.explain import costs, explain
from autoseg.planning.planners import PLANNERS
from autoseg.planning.planners.request import Request
from autoseg.preprocessing.store import preprocess_cases, store_key
from autoseg.runlog import log_file
from autoseg.schema import serialise
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration, Plan
from autoseg.schema.recipe import Recipe
from autoseg.workspace import Workspace

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)


def plan(
    dataset: Path | str,
    workspace: Path | str,
    *,
    configurations: Sequence[str] = (),
    planner: str = "auto",
    network: str | None = None,
    device: str = "auto",
    memory: str | None = None,
    time_budget: str | None = None,
    folds: int | None = None,
    group_pattern: str | None = None,
    groups: Path | None = None,
    seed: int = 0,
    recipe: str | None = None,
    preprocess: bool = True,
    reuse: bool = False,
    workers: int | None = None,
) -> Plan:
    """Checks and measures a data set, plans for it, makes folds and preprocesses the cases.

    Args:
        dataset: Folder in nnU-Net's raw format.
        workspace: Folder in which everything is made.
        configurations: Names, all that fit where empty.
        planner: auto or nnunet.
        network: plain, M, L or XL; None leaves the choice to the planner.
        device: auto, cpu, cuda or mps.
        memory: Such as "8GB"; None takes what is free.
        time_budget: Such as "10m", for one training.
        folds: Number of folds; None for 5, or one per patient where there are fewer.
        group_pattern: Regular expression that finds the patient in a case name.
        groups: CSV with the columns case and group.
        seed: Seed of everything random.
        recipe: Name of a recipe for a known data set; see `autoseg.recipes`.
        preprocess: Also preprocess.
        reuse: Take the workspace's plan where files and options are the same.
        workers: Processes; None takes all processors.

    Returns:
        The plan, which is also in the workspace.

    Raises:
        DatasetError: The data set has faults; all of them are listed.
        UsageError: An argument does not fit.
    """
    workspace = Workspace(Path(workspace))
    workers = workers or default_workers()
    make_plan = PLANNERS[planner]
    asked = {
        "configurations": " ".join(configurations),
        "planner": planner,
        "network": network or "",
        "device": device,
        "memory": memory or "",
        "time_budget": time_budget or "",
        "seed": str(seed),
        "recipe": recipe or "",
    }
    known = load_recipe(recipe) if recipe else None
    if known is not None:
        configurations = configurations or known.configurations
        network = network or known.network
    fold_request = request_folds(
        folds, group_pattern, groups, seed, known.group_pattern if known else None
    )
    earlier = reusable(workspace, Path(dataset), asked, known) if reuse else None
    if earlier is not None and keeps_folds(workspace, fold_request):
        logger.info("The plan was made already, for the same files and options.")
        if preprocess:
            preprocess_workspace(workspace.root, workers=workers)
        return earlier
    make_budget(device, memory, time_budget)  # refuses wrong words before the data are read
    data, warnings, errors = survey_dataset(Path(dataset))
    if data is None:
        raise DatasetError(errors)
    if known is not None:
        data = apply_recipe(data, known)
    check_workspace(workspace, data)
    errors += fold_faults(workspace, data, fold_request)
    fingerprint = measured_fingerprint(workspace, data, workers, errors, warnings)
    chosen = find_folds(workspace, data, fingerprint, fold_request)
    request = Request(
        configurations=tuple(configurations),
        network=network,
        memory=memory is not None,
        seed=seed,
        recipe=known,
    )
    budget = measuring_budget(device, memory, time_budget, data, fingerprint)
    made = make_plan(data, fingerprint, budget, request)
    made = replace(made, decisions=(*made.decisions, chosen.decision), request=asked)
    with log_file(workspace.logs / "plan.log"):
        text = explain(made, costs(made, budget))
        save_all(workspace, data, fingerprint, chosen, made, text)
        for line in text.splitlines():
            logger.info(line)
    if preprocess:
        preprocess_workspace(workspace.root, workers=workers)
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


def reusable(
    workspace: Workspace, dataset_root: Path, request: dict[str, str], recipe: Recipe | None
) -> Plan | None:
    """The workspace's plan where it was made for the same request and unchanged files."""
    try:
        plan = load_plan(workspace)
        earlier = serialise.load(Fingerprint, workspace.fingerprint)
        dataset, _ = read_dataset(dataset_root)
        if recipe is not None:
            dataset = apply_recipe(dataset, recipe)
    except InputError:
        return None
    same = plan.request == request and earlier.signature == signature(dataset)
    return plan if same else None
