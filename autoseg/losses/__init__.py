"""Table of losses: `forward(logits, target, valid_mask) -> scalar`, lower is better."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from autoseg.losses.dice_cross_entropy import DiceBinaryCrossEntropy, DiceCrossEntropy
from autoseg.registry import Registry

LossBuilder = Callable[..., nn.Module]

LOSSES: Registry[LossBuilder] = Registry(
    "loss",
    {
        "dice_cross_entropy": DiceCrossEntropy,
        "dice_binary_cross_entropy": DiceBinaryCrossEntropy,
        "present_dice_cross_entropy": partial(DiceCrossEntropy, present_only=True),
        "present_dice_binary_cross_entropy": partial(DiceBinaryCrossEntropy, present_only=True),
    },
)
