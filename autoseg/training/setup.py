"""Prepares a run: its folder, and the configuration with the user's overrides."""

from __future__ import annotations

from dataclasses import replace

from autoseg.errors import UsageError
from autoseg.schema.plan import Configuration


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
