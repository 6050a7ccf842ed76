"""How far a schedule is: by epochs and steps, or by the seconds of a time budget."""

from __future__ import annotations

import time

from autoseg.schema.plan import TrainingPlan

VALIDATION_SHARE = 0.03
"""Share of a time budget that one validation may take."""
FINISH_RESERVE_S = 2.0
"""Seconds of a time budget that are kept for the last validation, checkpoint and plot."""


class Clock:
    """The clock of one training.

    Args:
        plan: Epochs and time budget.
        elapsed_s: Seconds of training before an interruption.
    """

    def __init__(self, plan: TrainingPlan, elapsed_s: float = 0.0) -> None:
        self.plan = plan
        self._before = elapsed_s
        self._started = time.perf_counter()

    def start(self) -> None:
        """Starts to count, which everything before the training is no part of."""
        self._started = time.perf_counter()

    def elapsed_s(self) -> float:
        """Seconds of training so far, those before an interruption included."""
        return self._before + time.perf_counter() - self._started

    @property
    def is_timed(self) -> bool:
        """Whether a time budget ends the training, and not a number of epochs."""
        return self.plan.time_budget_s is not None

    @property
    def _usable_s(self) -> float:
        """The time budget without what is kept for the end."""
        assert self.plan.time_budget_s is not None
        return self.plan.time_budget_s - min(FINISH_RESERVE_S, 0.05 * self.plan.time_budget_s)

    def is_finished(self, epochs: int) -> bool:
        """Whether the training ends after so many epochs; one epoch is always trained."""
        if not self.is_timed:
            return epochs >= self.plan.epochs
        return epochs > 0 and self.left_s() <= 0

    def left_s(self) -> float:
        """Seconds until the last step of a time budget must have ended."""
        return self._usable_s - self.elapsed_s()

    def epoch_is_over(self, epochs: int, slowest_step_s: float) -> bool:
        """Whether a timed epoch ends: its slice has passed, or no further step fits.

        Args:
            epochs: Finished epochs.
            slowest_step_s: Seconds of the slowest step so far.
        """
        if not self.is_timed:
            return False
        share = (epochs + 1) / self.plan.epochs
        return self.elapsed_s() >= share * self._usable_s or self.left_s() < slowest_step_s

    def is_late(self, begun: float) -> bool:
        """Whether a validation that began then has used its share of a time budget."""
        budget = self.plan.time_budget_s
        return budget is not None and time.perf_counter() - begun > VALIDATION_SHARE * budget

    def progress(self, epochs: int, step_in_epoch: int) -> float:
        """Progress of the schedule, 0 at its first step to 1 at its end.

        Args:
            epochs: Finished epochs.
            step_in_epoch: Steps of the present epoch.
        """
        if self.is_timed:
            return min(1.0, max(0.0, self.elapsed_s() / self._usable_s))
        if self.plan.schedule == "poly":  # nnU-Net changes the rate once per epoch
            return epochs / self.plan.epochs
        total = self.plan.epochs * self.plan.steps_per_epoch
        return min(1.0, (epochs * self.plan.steps_per_epoch + step_in_epoch) / total)
