"""Table of losses: `build(training) -> loss`, `loss(logits, target, valid_mask) -> scalar`.

Shapes and an example: README.md.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from autoseg.losses.dice_cross_entropy import DiceBinaryCrossEntropy, DiceCrossEntropy
from autoseg.registry import Registry
from autoseg.schema.plan import TrainingPlan

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(logits, target, valid_mask) → scalar, lower is better."""
BuildLoss = Callable[[TrainingPlan], Loss]
"""(training) → loss."""


def _dice_loss(
    kind: type[DiceCrossEntropy] | type[DiceBinaryCrossEntropy],
) -> BuildLoss:
    def build(training: TrainingPlan) -> Loss:
        present_only = training.dice_classes == "present"
        return kind(batch_dice=training.batch_dice, present_only=present_only)

    return build


LOSSES: Registry[BuildLoss] = Registry(
    "loss",
    {
        "dice_cross_entropy": _dice_loss(DiceCrossEntropy),
        "dice_binary_cross_entropy": _dice_loss(DiceBinaryCrossEntropy),
    },
    plural="losses",
)


def build_loss(training: TrainingPlan) -> Loss:
    """Builds the loss that a plan names.

    Raises:
        UnknownNameError: No loss has that name.
    """
    return LOSSES[training.loss](training)
