"""What happened in one epoch of a training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch.

    Attributes:
        epoch: Number, from 1.
        step: Optimiser steps so far.
        elapsed_s: Seconds of training so far.
        learning_rate: At the end of the epoch.
        train_loss: Mean over the epoch.
        val_loss: Mean over the validation patches.
        val_dice: Dice over the validation patches per class; None where a class did not occur.
    """

    epoch: int
    step: int
    elapsed_s: float
    learning_rate: float
    train_loss: float
    val_loss: float
    val_dice: tuple[float | None, ...]

    @property
    def mean_dice(self) -> float | None:
        """Mean over the classes that occurred."""
        known = [value for value in self.val_dice if value is not None]
        return sum(known) / len(known) if known else None
