"""Whether an earlier training is the one that is asked for now."""

from __future__ import annotations

import logging

from autoseg import planned
from autoseg.errors import UsageError
from autoseg.leaks import train_command
from autoseg.planning.replan import begun_configurations, schedule_text, with_all_epochs
from autoseg.schema import serialise
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan_request import PlanRequest
from autoseg.workspace import Run, Workspace

logger = logging.getLogger(__name__)

OPTIONS = (
    "planner",
    "network",
    "memory",
    "time_budget",
    "seed",
    "recipe",
    "loss",
    "augmentation",
    "schedule",
)
"""What a plan was asked for that changes a network; the device and other configurations do not."""


def check_training(workspace: Workspace, name: str, fold: int | str, epochs: int | None) -> None:
    """Refuses an earlier training that other options began than the plan's and these.

    Args:
        workspace: The workspace, whose plan is that of the options now.
        name: Configuration.
        fold: Number of the fold, or "all".
        epochs: Fixed number of epochs, or None for the plan's schedule.

    Raises:
        UsageError: There is one, finished or not.
    """
    from autoseg.checkpoint import load_checkpoint

    run = workspace.run(name, fold)
    files = (run.final, run.last, *sorted(run.paths.glob("*/checkpoint_*.pt")))
    trained = next((path for path in files if path.is_file()), None)
    if trained is None:
        return
    made = load_checkpoint(trained)
    differences = _changed_options(made.provenance.request, planned.load_plan(workspace).request)
    differences = differences or _changed_schedule(workspace, run, name, epochs)
    if made.configuration.labels != planned.load_dataset(workspace).labels:
        differences.append("other labels in dataset.json")
    if differences:
        command = train_command(workspace, name, fold) + (f" --epochs {epochs}" if epochs else "")
        raise UsageError(
            f"{run.folder}: was trained with {', '.join(differences)}. Train it anew with "
            f"{command}, give the same options again, or choose another --workspace."
        )
    signature = serialise.load(Fingerprint, workspace.fingerprint).signature
    if made.provenance.data_signature not in ("", signature):
        logger.warning(
            "%s: files of the data set have changed since it was trained. To learn from them as "
            "they are now, train it anew with %s.",
            run.folder,
            train_command(workspace, name, fold),
        )


def _changed_options(before: PlanRequest | None, now: PlanRequest) -> list[str]:
    if before is None:  # models of earlier versions do not say
        return []
    changed = []
    for name in OPTIONS:
        was, is_now = getattr(before, name), getattr(now, name)
        option = f"--{name.replace('_', '-')}"
        if was != is_now:
            told = f"no {option}" if was is None else f"{option} {was}"
            changed.append(f"{told} (now {'none' if is_now is None else is_now})")
    return changed


def _changed_schedule(workspace: Workspace, run: Run, name: str, epochs: int | None) -> list[str]:
    """How long the training was to take, where that is not what it would be now."""
    if not run.configuration.is_file():
        return []
    planned_now = planned.load_plan(workspace).configurations
    wanted = planned_now if epochs is None else with_all_epochs(planned_now, name, epochs)
    before, now = schedule_text(begun_configurations(run), name), schedule_text(wanted, name)
    return [] if before == now else [f"{before} (now {now})"]
