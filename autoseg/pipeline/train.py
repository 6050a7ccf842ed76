"""Trains one network of a plan."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from autoseg import planned
from autoseg.costs.machine import find_device
from autoseg.errors import UsageError
from autoseg.pipeline.plan import preprocess_workspace
from autoseg.planning.budget import parse_duration
from autoseg.planning.replan import override
from autoseg.runlog import log_file
from autoseg.schema import serialise
from autoseg.schema.plan import Configuration
from autoseg.workspace import Workspace

if TYPE_CHECKING:
    from autoseg.checkpoint import Checkpoint

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
        overwrite: Throw an earlier run of this configuration and fold away.
        time_budget: Such as "10m"; another budget than the plan's chooses network and schedule
            anew (planner auto).
        epochs: Fixed number of epochs instead of the plan's schedule.
        device: auto, cpu, cuda or mps.
        workers: Threads that make batches.

    Returns:
        The final model.
    """
    started = time.perf_counter()
    from autoseg.checkpoint import load_checkpoint
    from autoseg.pipeline.fit import Job, batch_workers, fit, make_room
    from autoseg.pipeline.previous_stages import cascade_inputs, check_previous, fit_paths
    from autoseg.planning.replan import check_unchanged

    workspace = Workspace(Path(workspace))
    made, dataset = planned.load_plan(workspace), planned.load_dataset(workspace)
    device = find_device(device)
    job = Job(
        workspace=workspace,
        dataset=dataset,
        folds=planned.load_folds(workspace, dataset),
        fold=fold,
        cases=planned.load_fold(workspace, dataset, fold),
        device=device,
        workers=batch_workers(device) if workers is None else workers,
    )
    if configuration not in made.configurations:
        known = ", ".join(made.configurations)
        raise UsageError(f"The plan has no configuration '{configuration}'. It has: {known}.")
    run = workspace.run(configuration, fold)
    if resume and run.final.is_file():
        logger.info("%s is trained already.", run.folder)
        return load_checkpoint(run.final)
    check_previous(job, made.configurations[configuration])
    resumes = resume and run.last.is_file()
    make_room(run, resume=resume, overwrite=overwrite)
    with log_file(run.log):
        if resumes or (resume and run.paths.exists()):
            items = {**made.configurations}
            item = serialise.load(Configuration, run.configuration)
            check_unchanged(item, epochs, parse_duration(time_budget) if time_budget else None)
        else:
            items = override(
                workspace,
                made,
                configuration,
                epochs=epochs,
                device=device,
                time_budget=time_budget,
            )
            item = items[configuration]
            serialise.save(item, run.configuration)
        preprocess_workspace(workspace.root, configurations=[item])
        store = None
        if item.previous is not None:
            if item.previous.kind == "labels":
                store = cascade_inputs(job, item)
            else:
                job, store = fit_paths(job, run, item, items, resume=resume)
            started = time.perf_counter()
        return fit(job, run, item, resumes=resumes, started=started, previous_store=store)
