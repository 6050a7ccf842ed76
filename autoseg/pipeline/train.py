"""Trains one network of a plan."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autoseg import planned
from autoseg.costs.machine import find_device
from autoseg.errors import UsageError
from autoseg.pipeline import run_folder
from autoseg.pipeline.plan import preprocess_workspace
from autoseg.planning.budget import parse_duration
from autoseg.planning.replan import (
    begun_configurations,
    check_unchanged,
    fits_speed,
    override,
    plan_again,
)
from autoseg.runlog import log_file
from autoseg.schema import serialise
from autoseg.schema.plan import Configuration, Plan
from autoseg.workspace import Run, Workspace

if TYPE_CHECKING:
    from autoseg.checkpoint import Checkpoint
    from autoseg.pipeline.fit import Job

logger = logging.getLogger(__name__)


def train(
    workspace: Path | str,
    configuration: str,
    fold: int | str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    time_budget: str | None = None,
    epochs: int | None = None,
    device: str = "auto",
    workers: int | None = None,
) -> Checkpoint:
    """Trains one network.

    Args:
        workspace: Planned workspace.
        configuration: Name of a configuration of the plan.
        fold: Number of the fold, or "all" for one network on all cases.
        resume: Go on where an interrupted run was.
        overwrite: Replace an earlier run of this configuration and fold, which goes when the new
            one has its first checkpoint.
        time_budget: Such as "10m"; another budget than the plan's chooses network and schedule
            anew (planner auto). It is the time of the training alone.
        epochs: Fixed number of epochs instead of the plan's schedule.
        device: auto, cpu, cuda or mps.
        workers: Threads or processes that make batches.

    Returns:
        The final model.
    """
    from autoseg.checkpoint import load_checkpoint
    from autoseg.pipeline.previous_stages import check_previous, check_same_cases

    if resume and overwrite:
        raise UsageError("--resume goes on with an earlier training and --overwrite replaces it.")
    workspace = Workspace(Path(workspace))
    plan = planned.load_plan(workspace)
    if configuration not in plan.configurations:
        known = ", ".join(plan.configurations)
        raise UsageError(f"The plan has no configuration '{configuration}'. It has: {known}.")
    job = _open(workspace, fold, find_device(device), workers)
    run = workspace.run(configuration, fold)
    run_folder.restore(run)
    if resume:
        check_same_cases(job, run, plan.configurations[configuration])
    if resume and run.final.is_file():
        if epochs is not None or time_budget is not None:
            _configurations(
                job, run, plan, configuration, resumes=True, time_budget=time_budget, epochs=epochs
            )
        logger.info("%s is trained already.", run.folder)
        return load_checkpoint(run.final)
    check_previous(job, plan.configurations[configuration])
    run_folder.check_free(run, resume=resume, overwrite=overwrite)
    resumes = resume and run_folder.has_training(run)
    with log_file(run.preparation_log):
        configurations = _configurations(
            job, run, plan, configuration, resumes=resumes, time_budget=time_budget, epochs=epochs
        )
        preprocess_workspace(workspace.root, configurations=[configurations[configuration]])
    if overwrite:
        job = replace(job, replaced=run_folder.set_aside(run))
    try:
        return _train(job, run, configurations, configuration, resumes=resumes)
    except BaseException:
        run_folder.restore(run)
        raise


def _open(workspace: Workspace, fold: int | str, device: str, workers: int | None) -> Job:
    from autoseg.pipeline.fit import Job, batch_workers

    dataset = planned.load_dataset(workspace)
    return Job(
        workspace=workspace,
        dataset=dataset,
        folds=planned.load_folds(workspace, dataset),
        fold=fold,
        cases=planned.load_fold(workspace, dataset, fold),
        device=device,
        workers=batch_workers(device) if workers is None else workers,
    )


def _configurations(
    job: Job,
    run: Run,
    plan: Plan,
    name: str,
    *,
    resumes: bool,
    time_budget: str | None,
    epochs: int | None,
) -> dict[str, Configuration]:
    """The plan's configurations with those of a resumed run, or with the user's overrides."""
    if resumes:
        configurations = {**plan.configurations, **begun_configurations(run)}
        time_s = parse_duration(time_budget) if time_budget else None
        check_unchanged(configurations, name, epochs, time_s)
        return configurations
    configurations = override(
        job.workspace, plan, name, epochs=epochs, device=job.device, time_budget=time_budget
    )
    chosen = configurations[name]
    if plan.planner != "auto" or chosen.previous is not None or fits_speed(chosen, job.device):
        return configurations
    seconds = f"{chosen.training.time_budget_s}s"
    return {**configurations, **plan_again(job.workspace, plan, name, job.device, seconds)}


def _train(
    job: Job, run: Run, configurations: dict[str, Configuration], name: str, *, resumes: bool
) -> Checkpoint:
    """Makes the run's folder and trains what the network builds on, then the network."""
    from autoseg.pipeline.fit import fit
    from autoseg.pipeline.previous_stages import cascade_inputs, fit_paths

    configuration = configurations[name]
    run_folder.make_folder(run)
    run_folder.continue_log(run)
    with log_file(run.log):
        serialise.save(configuration, run.configuration)
        store = None
        if configuration.previous is not None:
            if configuration.previous.kind == "labels":
                store = cascade_inputs(job, configuration)
            else:
                job, store = fit_paths(job, run, configuration, configurations, resume=resumes)
        return fit(
            job,
            run,
            configuration,
            resumes=resumes and run.last.is_file(),
            previous_store=store,
        )
