"""Fusion: joins the probabilities of several networks, for the last stage of multi-path plans."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoseg.architectures.blocks import CONVOLUTIONS, conv_stage, init_convolutions
from autoseg.schema.plan import NetworkSpec

SMALLEST = 1e-3


class Fusion(nn.Module):
    """Mean of the paths' log probabilities plus a correction by some convolutions.

    The correction begins at zero, so that training starts from the plain average of the paths.

    Args:
        spec: `features[0]` and `encoder_blocks[0]` of the correction.
        in_channels: Paths times outputs, the outputs of one path side by side.
        out_channels: Outputs of one path and of the result.
    """

    def __init__(self, spec: NetworkSpec, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.stage = conv_stage(
            in_channels,
            spec.features[0],
            num_convs=spec.encoder_blocks[0],
            kernel=spec.kernel_sizes[0],
            stride=spec.strides[0],
        )
        self.head = CONVOLUTIONS[spec.dimensions](spec.features[0], out_channels, 1)
        init_convolutions(self)
        nn.init.zeros_(next(self.head.parameters()))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps probabilities [b, paths * outputs, *space] to logits of the finest level."""
        mean = torch.unflatten(x, 1, (-1, self.out_channels)).mean(1).clamp(SMALLEST, 1 - SMALLEST)
        # Exclusive outputs sum to 1, so that their log odds give the same order as their logs.
        average = torch.logit(mean)
        return (average + self.head(self.stage(x)),)
