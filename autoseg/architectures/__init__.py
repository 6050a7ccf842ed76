"""Table of architectures: `(spec, in_channels, out_channels) -> nn.Module`.

A network maps [b, c, *space] to a tuple of logits, finest first; in evaluation mode only the
finest is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import nn

from autoseg.architectures.dformer import DFormer
from autoseg.architectures.fusion import Fusion
from autoseg.architectures.plain_unet import PlainUNet
from autoseg.architectures.primus import Primus
from autoseg.architectures.residual_unet import ResidualUNet
from autoseg.architectures.swin_unetr import SwinUNETR
from autoseg.registry import Registry
from autoseg.schema.plan import NetworkSpec


@runtime_checkable
class HasHead(Protocol):
    """A network whose last layer is a convolution of single voxels and can be taken away."""

    def detach_head(self) -> nn.Module:
        """Takes it away: the network then returns features in place of the finest logits."""


Builder = Callable[[NetworkSpec, int, int], nn.Module]

ARCHITECTURES: Registry[Builder] = Registry(
    "architecture",
    {
        "plain_unet": PlainUNet,
        "residual_unet": ResidualUNet,
        "swin_unetr": SwinUNETR,
        "dformer": DFormer,
        "primus": Primus,
        "fusion": Fusion,
    },
)


def build_network(spec: NetworkSpec, in_channels: int, out_channels: int) -> nn.Module:
    """Builds the network of a plan, with the initialisation that it gives itself."""
    return ARCHITECTURES[spec.architecture](spec, in_channels, out_channels)
