"""Swin UNETR: a hierarchical encoder of shifted windows and a convolutional decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoseg.architectures.attention import (
    Attention,
    FeedForward,
    PatchMerging,
    crop_grid,
    init_transformer,
    join_cells,
    pad_grid,
    same_ids,
    split_cells,
    to_image,
    to_tokens,
)
from autoseg.architectures.blocks import (
    CONVOLUTIONS,
    TRANSPOSED,
    ResidualBlock,
    init_convolutions,
)
from autoseg.schema.plan import NetworkSpec


class WindowBlock(nn.Module):
    """Attention within windows, then a feed-forward layer; every second block shifts the windows.

    Args:
        channels: Channels of a token.
        heads: Heads of the attention.
        window: Tokens per window and axis.
        shifted: Windows are moved by half their size.
    """

    def __init__(self, channels: int, heads: int, window: Sequence[int], *, shifted: bool) -> None:
        super().__init__()
        self.window = tuple(window)
        self.shifted = shifted
        self.norm_attention = nn.LayerNorm(channels)
        self.attention = Attention(channels, heads)
        self.norm_feed = nn.LayerNorm(channels)
        self.feed = FeedForward(channels)
        offsets = math.prod(2 * size - 1 for size in window)
        self.position_bias = nn.Parameter(torch.zeros(offsets, heads))
        self.register_buffer("offsets", relative_offsets(self.window), persistent=False)
        nn.init.normal_(self.position_bias, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens [b, *grid, c] to the same shape."""
        grid = x.shape[1:-1]
        y = pad_grid(self.norm_attention(x), self.window)
        padded = y.shape[1:-1]
        # A window as long as the grid has no neighbour to shift to.
        shift = [
            size // 2 if self.shifted and length > size else 0
            for size, length in zip(self.window, padded, strict=True)
        ]
        axes = list(range(1, 1 + len(shift)))
        y = torch.roll(y, [-step for step in shift], axes) if any(shift) else y
        cells = split_cells(y, self.window)
        bias = self.position_bias[self.offsets].movedim(-1, 0)[None, None]  # type: ignore[index]
        if any(shift) or padded != grid:
            bias = bias + self._mask(grid, padded, shift, y.device)
        mixed = self.attention(cells.flatten(1, len(axes)), bias)
        y = join_cells(mixed.view(cells.shape), self.window)
        y = torch.roll(y, shift, axes) if any(shift) else y
        x = x + crop_grid(y, grid)
        result: Tensor = x + self.feed(self.norm_feed(x))
        return result

    def _mask(
        self, grid: Sequence[int], padded: Sequence[int], shift: Sequence[int], device: torch.device
    ) -> Tensor:
        """Keeps padding apart, and what the shift brings together from opposite borders."""
        ids = torch.zeros((1, *padded, 1), dtype=torch.int64, device=device)
        for axis, (size, length, step, window) in enumerate(
            zip(grid, padded, shift, self.window, strict=True)
        ):
            index = torch.arange(length, device=device)
            rolled = (index + step) % length
            # 0 inside, 1 in the last window, 2 came over the border, 3 padding
            part = (index >= length - window).long() + (index >= length - step).long()
            part = torch.where(rolled >= size, 3, part if step else 0 * part)
            shape = [1] * ids.ndim
            shape[1 + axis] = length
            ids = ids * 4 + part.view(shape)
        groups = split_cells(ids, self.window).flatten(1, len(self.window))[0, ..., 0]
        return same_ids(groups)[None]


def relative_offsets(window: Sequence[int]) -> Tensor:
    """Index into the table of position biases for every pair of tokens: [n, n]."""
    axes = torch.meshgrid(*(torch.arange(size) for size in window), indexing="ij")
    points = torch.stack([axis.flatten() for axis in axes])
    index = torch.zeros(points.shape[1], points.shape[1], dtype=torch.int64)
    for size, line in zip(window, points, strict=True):
        index = index * (2 * size - 1) + (line[:, None] - line[None, :] + size - 1)
    return index


class UpBlock(nn.Module):
    """Transposed convolution, concatenation with the skip, residual block."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: Sequence[int], stride: Sequence[int]
    ) -> None:
        super().__init__()
        step = tuple(stride)
        self.up = TRANSPOSED[len(step)](in_channels, out_channels, step, step, bias=False)
        self.block = _residual(2 * out_channels, out_channels, kernel)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Maps [b, c, *space] and its skip to [b, c_out, *space * stride]."""
        result: Tensor = self.block(torch.cat((self.up(x), skip), dim=1))
        return result


def _residual(in_channels: int, out_channels: int, kernel: Sequence[int]) -> ResidualBlock:
    return ResidualBlock(
        in_channels, out_channels, kernel=kernel, stride=[1] * len(kernel), bias=False
    )


class SwinUNETR(nn.Module):
    """Encoder of shifted windows whose levels feed a convolutional decoder.

    After Hatamizadeh et al. 2022 ("Swin UNETR"). With 48 features, windows of 7 and two blocks
    per level it has 62.2 million parameters for 1 channel and 14 classes (the paper: 61.98
    million), in three dimensions. Ours masks padded tokens and follows the plan's strides and
    kernels per axis, so that it fits anisotropic images and slices.

    Args:
        spec: Level 0 is the image, level 1 the patch embedding; `encoder_blocks`, `heads` and
            `windows` say what is done on each level before it is merged into the next.
        in_channels: Image channels.
        out_channels: Channels of the logits.
    """

    def __init__(self, spec: NetworkSpec, in_channels: int, out_channels: int) -> None:
        super().__init__()
        dims, levels = spec.dimensions, len(spec.features)
        features, step = spec.features, tuple(spec.strides[1])
        self.embed = CONVOLUTIONS[dims](in_channels, features[1], step, stride=step)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    WindowBlock(
                        features[level],
                        spec.heads[level],
                        spec.windows[level],
                        shifted=block % 2 == 1,
                    )
                    for block in range(spec.encoder_blocks[level])
                ),
                PatchMerging(features[level], features[level + 1], spec.strides[level + 1]),
            )
            for level in range(1, levels - 1)
        )
        # The last but one level goes to the decoder as it is.
        self.skips = nn.ModuleList(
            nn.Identity()
            if level == levels - 2
            else _residual(
                in_channels if level == 0 else features[level],
                features[level],
                spec.kernel_sizes[level],
            )
            for level in range(levels)
        )
        self.decoder = nn.ModuleList(
            UpBlock(
                features[level + 1],
                features[level],
                kernel=spec.kernel_sizes[level],
                stride=spec.strides[level + 1],
            )
            for level in reversed(range(levels - 1))
        )
        self.head = CONVOLUTIONS[dims](features[0], out_channels, 1)
        init_convolutions(self)
        init_transformer(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps [b, c, *space] to logits of the finest level."""
        levels = [x]
        tokens = to_tokens(self.embed(x)).contiguous()
        levels.append(_normalised(tokens))
        for stage in self.stages:
            tokens = stage(tokens)
            levels.append(_normalised(tokens))
        skips = [skip(level) for skip, level in zip(self.skips, levels, strict=True)]
        y = skips.pop()
        for up in self.decoder:
            y = up(y, skips.pop())
        return (self.head(y),)


def _normalised(tokens: Tensor) -> Tensor:
    return to_image(functional.layer_norm(tokens, tokens.shape[-1:]))
