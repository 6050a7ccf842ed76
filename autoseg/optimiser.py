"""Optimisers and learning rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from autoseg.registry import Registry
from autoseg.schema.plan import TrainingPlan

WARM_UP = 0.1
"""Share of a one-cycle schedule in which the learning rate rises."""


def poly(progress: float) -> float:
    """(1 - progress)^0.9, nnU-Net's schedule."""
    return float((1 - progress) ** 0.9)


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def one_cycle(progress: float) -> float:
    """Linear rise from 1/25, then half a cosine to 0."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * progress / WARM_UP
    return cosine((progress - WARM_UP) / (1 - WARM_UP))


def warm_up_cosine(progress: float) -> float:
    """Linear rise over the first twentieth, then half a cosine to 0."""
    if progress < 0.05:
        return 0.02 + 0.98 * progress / 0.05
    return cosine((progress - 0.05) / 0.95)


SCHEDULES: Registry[Callable[[float], float]] = Registry(
    "schedule",
    {
        "poly": poly,
        "cosine": cosine,
        "one_cycle": one_cycle,
        "warm_up_cosine": warm_up_cosine,
    },
)
"""Factor of the learning rate for progress 0 … 1."""


def build_optimiser(network: nn.Module, plan: TrainingPlan) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW without decay of norms and biases."""
    if plan.optimiser == "sgd":
        return torch.optim.SGD(
            network.parameters(),
            lr=plan.learning_rate,
            momentum=plan.momentum,
            nesterov=True,
            weight_decay=plan.weight_decay,
        )
    matrices = [item for item in network.parameters() if item.ndim > 1]
    vectors = [item for item in network.parameters() if item.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": plan.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=plan.learning_rate,
        betas=(0.9, 0.99),
        fused=all(item.device.type in ("cpu", "cuda") for item in matrices),
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Sets the learning rate of all parameter groups."""
    for group in optimiser.param_groups:
        group["lr"] = value
