"""U-Net with a residual encoder, the network of nnU-Net's M, L and XL presets."""

from __future__ import annotations

from torch import Tensor, nn

from autoseg.architectures.blocks import ConvNormAct, ResidualBlock, UNetDecoder, init_convolutions
from autoseg.schema.plan import NetworkSpec


class ResidualUNet(nn.Module):
    """Residual encoder (ResNet-D blocks), plain decoder.

    Same layers and number of parameters as nnU-Net's ResidualEncoderUNet (Isensee et al. 2024).

    Args:
        spec: Features, kernels, strides and residual blocks per stage.
        in_channels: Image channels.
        out_channels: Channels of the logits.
    """

    def __init__(self, spec: NetworkSpec, in_channels: int, out_channels: int) -> None:
        super().__init__()
        dims = len(spec.kernel_sizes[0])
        unit = [1] * dims
        self.stem = ConvNormAct(
            in_channels, spec.features[0], kernel=spec.kernel_sizes[0], stride=unit
        )
        channels = (spec.features[0], *spec.features)
        self.encoder = nn.ModuleList(
            nn.Sequential(
                *(
                    ResidualBlock(
                        channels[stage] if block == 0 else channels[stage + 1],
                        channels[stage + 1],
                        kernel=spec.kernel_sizes[stage],
                        stride=spec.strides[stage] if block == 0 else unit,
                    )
                    for block in range(spec.encoder_blocks[stage])
                )
            )
            for stage in range(len(spec.features))
        )
        self.decoder = UNetDecoder(
            spec.features, spec.kernel_sizes, spec.strides, spec.decoder_blocks, out_channels
        )
        init_convolutions(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps [b, c, *space] to logits, finest first (only the finest in evaluation)."""
        x = self.stem(x)
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        result: tuple[Tensor, ...] = self.decoder(skips)
        return result

    def detach_head(self) -> nn.Module:
        """Takes away the last layer, a convolution of single voxels, and returns it."""
        return self.decoder.detach_head()
