"""Convolution blocks that the U-Nets are made of, in two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Layers = dict[int, Callable[..., nn.Module]]
"""Dimensions → a layer of torch, whose sizes may be tuples of any length."""
CONVOLUTIONS: Layers = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: Layers = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOLS: Layers = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
NEGATIVE_SLOPE = 0.01


def init_convolutions(network: nn.Module) -> None:
    """He initialisation with slope 0.01 and zero bias, as nnU-Net starts its networks."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
            nn.init.kaiming_normal_(module.weight, a=NEGATIVE_SLOPE)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class InstanceNorm(nn.GroupNorm):
    """Instance norm with affine parameters.

    Written as a group norm of one channel per group, which is the same and takes a quarter less
    time per training step on CPUs.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Normalises every channel of every sample.

        One value per channel has no variance, so that such a feature map is left as it is.
        """
        return super().forward(x) if x[0, 0].numel() > 1 else x


class ConvNormAct(nn.Module):
    """Convolution, instance norm and (optionally) leaky ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Kernel size per axis, odd.
        stride: Stride per axis.
        activation: False leaves the activation to the caller (residual sums).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: Sequence[int],
        stride: Sequence[int],
        activation: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        dims = len(kernel)
        self.conv = CONVOLUTIONS[dims](
            in_channels,
            out_channels,
            tuple(kernel),
            stride=tuple(stride),
            padding=tuple(size // 2 for size in kernel),
            bias=bias,
        )
        self.norm = InstanceNorm(out_channels)
        self.act = nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps [b, c_in, *space] to [b, c_out, *space / stride]."""
        result: Tensor = self.act(self.norm(self.conv(x)))
        return result


def conv_stage(
    in_channels: int,
    out_channels: int,
    *,
    num_convs: int,
    kernel: Sequence[int],
    stride: Sequence[int],
) -> nn.Sequential:
    """Builds `num_convs` convolutions of which the first has the stride."""
    unit = [1] * len(kernel)
    return nn.Sequential(
        *(
            ConvNormAct(
                in_channels if index == 0 else out_channels,
                out_channels,
                kernel=kernel,
                stride=stride if index == 0 else unit,
            )
            for index in range(num_convs)
        )
    )


class ResidualBlock(nn.Module):
    """Two convolutions and a skip; the skip pools where the block strides (ResNet-D)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: Sequence[int],
        stride: Sequence[int],
        bias: bool = True,
    ) -> None:
        super().__init__()
        dims = len(kernel)
        unit = [1] * dims
        self.conv1 = ConvNormAct(in_channels, out_channels, kernel=kernel, stride=stride, bias=bias)
        self.conv2 = ConvNormAct(
            out_channels, out_channels, kernel=kernel, stride=unit, activation=False, bias=bias
        )
        skip: list[nn.Module] = []
        if any(step != 1 for step in stride):
            skip.append(POOLS[dims](tuple(stride), tuple(stride)))
        if in_channels != out_channels:
            skip.append(
                ConvNormAct(
                    in_channels,
                    out_channels,
                    kernel=unit,
                    stride=unit,
                    activation=False,
                    bias=False,
                )
            )
        self.skip = nn.Sequential(*skip)
        self.act = nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [b, c_in, *space] to [b, c_out, *space / stride]."""
        result: Tensor = self.act(self.conv2(self.conv1(x)) + self.skip(x))
        return result


class UNetDecoder(nn.Module):
    """Expanding path: transposed convolution, concatenation with the skip, convolutions, head.

    Index 0 of its lists is the coarsest level.

    Args:
        features: Channels per encoder stage, finest first.
        kernel_sizes: Kernel per encoder stage.
        strides: Stride per encoder stage; stage i is reached from i - 1 by strides[i].
        num_convs: Convolutions per decoder level, coarsest first.
        out_channels: Channels of the logits.
    """

    def __init__(
        self,
        features: Sequence[int],
        kernel_sizes: Sequence[Sequence[int]],
        strides: Sequence[Sequence[int]],
        num_convs: Sequence[int],
        out_channels: int,
    ) -> None:
        super().__init__()
        dims = len(kernel_sizes[0])
        unit = [1] * dims
        transposed, stages, heads = [], [], []
        for level, convs in enumerate(num_convs):
            below, here = len(features) - 1 - level, len(features) - 2 - level
            stride = tuple(strides[below])
            transposed.append(TRANSPOSED[dims](features[below], features[here], stride, stride))
            stages.append(
                conv_stage(
                    2 * features[here],
                    features[here],
                    num_convs=convs,
                    kernel=kernel_sizes[here],
                    stride=unit,
                )
            )
            heads.append(CONVOLUTIONS[dims](features[here], out_channels, 1))
        if not heads:  # of images too small to be pooled, whose only level is the finest
            heads.append(CONVOLUTIONS[dims](features[0], out_channels, 1))
        self.transposed = nn.ModuleList(transposed)
        self.stages = nn.ModuleList(stages)
        self.heads = nn.ModuleList(heads)

    def forward(self, skips: list[Tensor]) -> tuple[Tensor, ...]:
        """Turns encoder outputs (finest first) into logits (finest first).

        While training every level has logits; in evaluation only the finest is computed. The list
        is emptied, so that what is large is not kept longer than needed.
        """
        x = skips.pop()
        if not self.stages:
            return (self.heads[0](x),)
        logits: list[Tensor] = []
        finest = len(self.stages) - 1
        for level, (up, stage, head) in enumerate(
            zip(self.transposed, self.stages, self.heads, strict=True)
        ):
            x = torch.cat((up(x), skips.pop()), dim=1)
            for block in stage.children():
                x = block(x)
            if self.training or level == finest:
                logits.append(head(x))
        return tuple(reversed(logits))

    def detach_head(self) -> nn.Module:
        """Takes away the last layer, so that features come in place of the finest logits."""
        head = self.heads[-1]
        self.heads[-1] = nn.Identity()
        return head
