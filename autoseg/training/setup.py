"""Prepares a run: its folder, and the configuration with the user's overrides."""

from __future__ import annotations

import shutil
from dataclasses import replace

from autoseg.errors import UsageError
from autoseg.parallel import default_workers
from autoseg.schema.plan import Configuration
from autoseg.schema.serialise import remove_leftovers
from autoseg.workspace import Run


def make_room(run: Run, *, resume: bool, overwrite: bool) -> None:
    """Makes the run's folder; an earlier run there is only removed when asked for.

    Raises:
        UsageError: There is an earlier run.
    """
    if overwrite and run.folder.exists():
        shutil.rmtree(run.folder)
    earlier = run.last.exists() or run.final.exists() or run.paths.exists()
    if not resume and earlier:
        state = "a finished" if run.final.exists() else "an interrupted"
        raise UsageError(
            f"{run.folder}: holds {state} training. Use --resume to go on, or --overwrite to "
            "start anew."
        )
    run.folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(run.folder)


def with_epochs(configuration: Configuration, epochs: int) -> Configuration:
    """The configuration with a fixed number of epochs instead of a time budget.

    Raises:
        UsageError: The number is not positive.
    """
    if epochs < 1:
        raise UsageError(f"--epochs {epochs}: at least 1 is needed.")
    training = replace(configuration.training, epochs=epochs, time_budget_s=None)
    return replace(configuration, training=training)


def check_unchanged(
    configuration: Configuration, epochs: int | None, time_budget_s: float | None
) -> None:
    """Refuses to go on with another schedule than the run began with.

    Raises:
        UsageError: The epochs or the time budget differ from the run's.
    """
    plan = configuration.training
    if epochs is not None and (epochs != plan.epochs or plan.time_budget_s is not None):
        raise UsageError(f"--epochs {epochs}: the interrupted run began otherwise. Leave it out.")
    if time_budget_s not in (None, plan.time_budget_s):
        raise UsageError(
            f"--time-budget: the interrupted run has {plan.time_budget_s} s. Leave it out."
        )


def batch_workers(device: str) -> int:
    """Threads that make batches: none beside a CPU training, some for a GPU."""
    return 0 if device == "cpu" else max(2, min(8, default_workers() - 1))
