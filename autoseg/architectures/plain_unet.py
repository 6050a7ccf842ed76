"""Plain convolutional U-Net, the network of nnU-Net's default planner."""

from __future__ import annotations

from torch import Tensor, nn

from autoseg.architectures.blocks import UNetDecoder, conv_stage, init_convolutions
from autoseg.schema.plan import NetworkSpec


class PlainUNet(nn.Module):
    """U-Net with strided convolutions, instance norm and leaky ReLU.

    Same layers and number of parameters as nnU-Net's PlainConvUNet (Isensee et al. 2021).

    Args:
        spec: Features, kernels, strides and convolutions per stage.
        in_channels: Image channels.
        out_channels: Channels of the logits.
    """

    def __init__(self, spec: NetworkSpec, in_channels: int, out_channels: int) -> None:
        super().__init__()
        channels = (in_channels, *spec.features)
        self.encoder = nn.ModuleList(
            conv_stage(
                channels[stage],
                channels[stage + 1],
                num_convs=spec.encoder_blocks[stage],
                kernel=spec.kernel_sizes[stage],
                stride=spec.strides[stage],
            )
            for stage in range(len(spec.features))
        )
        self.decoder = UNetDecoder(
            spec.features, spec.kernel_sizes, spec.strides, spec.decoder_blocks, out_channels
        )
        init_convolutions(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps [b, c, *space] to logits, finest first (only the finest in evaluation)."""
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        result: tuple[Tensor, ...] = self.decoder(skips)
        return result

    def detach_head(self) -> nn.Module:
        """Takes away the last layer, a convolution of single voxels, and returns it."""
        return self.decoder.detach_head()
