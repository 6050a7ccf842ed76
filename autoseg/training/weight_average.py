"""Averaged weights: an exponential moving average of a network, buffers included."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """Moving average of a network in training; predictions use it.

    Args:
        network: Network in training.
        ema_decay: Share of the old average that a step keeps.
    """

    def __init__(self, network: nn.Module, ema_decay: float) -> None:
        self.network = copy.deepcopy(network)
        self._decay = ema_decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Takes a step of the network in.

        Parameters and floating point buffers (statistics of a batch norm) are averaged; other
        buffers, such as counters, are copied.

        Args:
            network: Network in training.
            step: Steps so far; young averages forget fast, so that the random start does not
                linger.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - decay)
        for mean, value in zip(self.network.buffers(), network.buffers(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)
