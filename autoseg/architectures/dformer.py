"""D-Former: a U-shaped transformer that attends to near and to dilated tokens in turn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autoseg.architectures.attention import (
    Attention,
    FeedForward,
    PatchExpanding,
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
from autoseg.architectures.blocks import CONVOLUTIONS, init_convolutions
from autoseg.schema.plan import NetworkSpec


class ScopeBlock(nn.Module):
    """Attention within groups of tokens, then a feed-forward layer.

    Args:
        channels: Channels of a token.
        heads: Heads of the attention.
        group: Tokens per group and axis.
        dilated: A group's tokens are spread evenly over the whole grid (global scope) instead of
            being neighbours (local scope).
    """

    def __init__(self, channels: int, heads: int, group: Sequence[int], *, dilated: bool) -> None:
        super().__init__()
        self.group = tuple(group)
        self.dilated = dilated
        self.norm_attention = nn.LayerNorm(channels)
        self.attention = Attention(channels, heads)
        self.norm_feed = nn.LayerNorm(channels)
        self.feed = FeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens [b, *grid, c] to the same shape."""
        grid = x.shape[1:-1]
        group = [min(size, length) for size, length in zip(self.group, grid, strict=True)]
        y = pad_grid(self.norm_attention(x), group)
        padded = y.shape[1:-1]
        groups = self._split(y, group)
        bias = None
        if padded != grid:
            inside = pad_grid(torch.ones((1, *grid, 1), device=x.device), group)
            bias = same_ids(self._split(inside, group)[0, ..., 0])[None]
        y = self._join(self.attention(groups, bias), group, padded)
        x = x + crop_grid(y, grid)
        result: Tensor = x + self.feed(self.norm_feed(x))
        return result

    def _split(self, x: Tensor, group: Sequence[int]) -> Tensor:
        """Groups tokens: [b, groups, tokens, c]."""
        dims = len(group)
        if not self.dilated:
            return split_cells(x, group).flatten(1, dims)
        # Cells of as many tokens as there are groups; each gives one token to every group.
        spread = [size // part for size, part in zip(x.shape[1:-1], group, strict=True)]
        return split_cells(x, spread).flatten(1, dims).transpose(1, 2)

    def _join(self, x: Tensor, group: Sequence[int], grid: Sequence[int]) -> Tensor:
        """Inverse of `_split`."""
        spread = [size // part for size, part in zip(grid, group, strict=True)]
        if not self.dilated:
            return join_cells(torch.unflatten(x, 1, spread), group)
        return join_cells(torch.unflatten(x.transpose(1, 2), 1, tuple(group)), spread)


class Stage(nn.Module):
    """Dynamic position encoding (a depth-wise convolution), then blocks of alternating scope."""

    def __init__(self, channels: int, heads: int, depth: int, group: Sequence[int]) -> None:
        super().__init__()
        self.position = CONVOLUTIONS[len(group)](channels, channels, 3, padding=1, groups=channels)
        self.blocks = nn.Sequential(
            *(ScopeBlock(channels, heads, group, dilated=index % 2 == 1) for index in range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens [b, *grid, c] to the same shape."""
        result: Tensor = self.blocks(x + to_tokens(self.position(to_image(x))))
        return result


class DFormer(nn.Module):
    """U-shaped dilated transformer.

    After Wu et al. 2022 ("D-Former: A U-shaped Dilated Transformer for 3D Medical Image
    Segmentation"). With 96 features, tokens of 2x4x4 voxels, depths 2, 2, 6, 2 and groups of
    2x8x8 tokens it has 44.65 million parameters for 1 channel and 9 classes; the paper says 44.26.

    Args:
        spec: `strides[0]` is the size of a token, `windows` are the groups.
        in_channels: Image channels.
        out_channels: Channels of the logits.
    """

    def __init__(self, spec: NetworkSpec, in_channels: int, out_channels: int) -> None:
        super().__init__()
        dims, features, token = spec.dimensions, spec.features, tuple(spec.strides[0])
        levels = len(features)
        self.embed = CONVOLUTIONS[dims](in_channels, features[0], token, stride=token)
        self.embed_norm = nn.LayerNorm(features[0])

        def stage(level: int) -> Stage:
            return Stage(
                features[level], spec.heads[level], spec.encoder_blocks[level], spec.windows[level]
            )

        self.encoder = nn.ModuleList(stage(level) for level in range(levels))
        self.merging = nn.ModuleList(
            PatchMerging(features[level], features[level + 1], spec.strides[level + 1])
            for level in range(levels - 1)
        )
        self.norm = nn.LayerNorm(features[-1])
        above = list(reversed(range(levels - 1)))
        self.expanding = nn.ModuleList(
            PatchExpanding(features[level + 1], features[level], spec.strides[level + 1])
            for level in above
        )
        self.joining = nn.ModuleList(nn.Linear(2 * features[at], features[at]) for at in above)
        self.decoder = nn.ModuleList(stage(level) for level in above)
        self.decoder_norm = nn.LayerNorm(features[0])
        self.expand = PatchExpanding(features[0], features[0], token)
        self.head = CONVOLUTIONS[dims](features[0], out_channels, 1)
        init_convolutions(self)
        init_transformer(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps [b, c, *space] to logits of the finest level."""
        tokens = self.embed_norm(to_tokens(self.embed(x)))
        skips: list[Tensor] = []
        for level, stage in enumerate(self.encoder):
            if level:
                tokens = self.merging[level - 1](tokens)
            skips.append(tokens)  # what comes into a level meets what leaves the one below
            tokens = stage(tokens)
        tokens = self.norm(tokens)
        skips.pop()
        for expand, join, stage in zip(self.expanding, self.joining, self.decoder, strict=True):
            tokens = stage(join(torch.cat((expand(tokens), skips.pop()), dim=-1)))
        full = to_image(self.expand(self.decoder_norm(tokens)))
        return (self.head(full),)
