"""Optimisers and learning rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

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
    """SGD with Nesterov momentum, or AdamW without decay of norms and biases.

    Every parameter group has a `name`, and a `learning_rate_factor` that `set_learning_rate`
    multiplies the rate of the schedule with.
    """
    if plan.optimiser == "sgd":
        return torch.optim.SGD(
            [_group("all", list(network.parameters()), plan.weight_decay)],
            lr=plan.learning_rate,
            momentum=plan.momentum,
            nesterov=True,
        )
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return torch.optim.AdamW(
        [_group("weights", matrices, plan.weight_decay), _group("norms and biases", vectors, 0.0)],
        lr=plan.learning_rate,
        betas=(0.9, 0.99),
        fused=all(parameter.device.type in ("cpu", "cuda") for parameter in matrices),
    )


def _group(name: str, parameters: list[nn.Parameter], weight_decay: float) -> dict[str, Any]:
    return {
        "name": name,
        "params": parameters,
        "weight_decay": weight_decay,
        "learning_rate_factor": 1.0,
    }


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Sets the learning rate of all parameter groups, each times its factor."""
    for group in optimiser.param_groups:
        group["lr"] = value * group["learning_rate_factor"]
