"""Number formats and memory layouts that a device is fast with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Precision:
    """Mixed precision where the device gains from it: bfloat16, or float16 with loss scaling.

    Args:
        device: Device of the training.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.dtype: torch.dtype | None = None
        if device.type == "cuda":
            self.dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        self.scaler = torch.amp.GradScaler(device.type) if self.dtype is torch.float16 else None

    def autocast(self) -> torch.autocast:
        """Context of a forward pass."""
        return torch.autocast(
            self.device.type, dtype=self.dtype or torch.bfloat16, enabled=self.dtype is not None
        )

    def step(
        self, loss: Tensor, optimiser: torch.optim.Optimizer, network: nn.Module, clip: float
    ) -> None:
        """Backward pass, gradient clipping and the optimiser's step."""
        if self.scaler is None:
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimiser.step()
            return
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(network.parameters(), clip)
        self.scaler.step(optimiser)
        self.scaler.update()

    def state(self) -> dict[str, Any]:
        """State of the loss scaling."""
        return self.scaler.state_dict() if self.scaler else {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` gave."""
        if self.scaler and state:
            self.scaler.load_state_dict(state)


def memory_format(device: torch.device, dimensions: int) -> torch.memory_format:
    """Channels last on CPUs, where convolutions and norms gain from it."""
    if device.type != "cpu":
        return torch.contiguous_format
    return torch.channels_last_3d if dimensions == 3 else torch.channels_last
