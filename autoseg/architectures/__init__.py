"""Table of architectures: `(spec, in_channels, out_channels) -> nn.Module`.

A network maps [b, c, *space] to a tuple of logits, finest first; in evaluation mode only the
finest is computed.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from autoseg.architectures.plain_unet import PlainUNet
from autoseg.architectures.residual_unet import ResidualUNet
from autoseg.registry import Registry
from autoseg.schema.plan import NetworkSpec

Builder = Callable[[NetworkSpec, int, int], nn.Module]

ARCHITECTURES: Registry[Builder] = Registry(
    "architecture",
    {
        "plain_unet": PlainUNet,
        "residual_unet": ResidualUNet,
    },
)


def build_network(spec: NetworkSpec, in_channels: int, out_channels: int) -> nn.Module:
    """Builds the network of a plan with nnU-Net's initialisation (He, slope 0.01, zero bias)."""
    network = ARCHITECTURES[spec.architecture](spec, in_channels, out_channels)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
            nn.init.kaiming_normal_(module.weight, a=0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
