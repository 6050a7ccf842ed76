"""Parts of transformers that work on token grids [b, *grid, c], in two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head self-attention among the tokens of each group.

    Args:
        channels: Channels of a token.
        heads: Number of heads.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Maps [b, groups, tokens, c] to the same shape.

        Args:
            x: Tokens.
            bias: Added to the scores, broadcastable to [b, groups, heads, tokens, tokens].
        """
        query, key, value = (
            torch.unflatten(part, -1, (self.heads, -1)).transpose(2, 3)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        if bias is None:  # the fused kernels want one batch axis
            query, key, value = (part.flatten(0, 1) for part in (query, key, value))
            mixed = functional.scaled_dot_product_attention(query, key, value)
            mixed = torch.unflatten(mixed, 0, x.shape[:2])
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        result: Tensor = self.project(mixed.transpose(2, 3).flatten(-2))
        return result


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU between them.

    Args:
        channels: Channels of a token.
        ratio: Hidden channels relative to them.
    """

    def __init__(self, channels: int, ratio: int = 4) -> None:
        super().__init__(
            nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels)
        )


class PatchMerging(nn.Module):
    """Joins the tokens of each cell of a grid and reduces their channels.

    Args:
        in_channels: Channels before.
        out_channels: Channels after.
        stride: Tokens per cell and axis.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: Sequence[int]) -> None:
        super().__init__()
        self.stride = tuple(stride)
        cell = math.prod(stride) * in_channels
        self.norm = nn.LayerNorm(cell)
        self.reduce = nn.Linear(cell, out_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [b, *grid, c] to [b, *grid / stride, c_out]."""
        result: Tensor = self.reduce(self.norm(split_cells(x, self.stride).flatten(-2)))
        return result


class PatchExpanding(nn.Module):
    """Opposite of `PatchMerging`: every token becomes a cell of tokens.

    Args:
        in_channels: Channels before.
        out_channels: Channels after.
        stride: Tokens per cell and axis.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: Sequence[int]) -> None:
        super().__init__()
        self.stride = tuple(stride)
        self.expand = nn.Linear(in_channels, math.prod(stride) * out_channels, bias=False)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [b, *grid, c] to [b, *grid * stride, c_out]."""
        cells = torch.unflatten(self.expand(x), -1, (math.prod(self.stride), -1))
        result: Tensor = self.norm(join_cells(cells, self.stride))
        return result


def split_cells(x: Tensor, cell: Sequence[int]) -> Tensor:
    """Groups a grid by compact cells: [b, *grid, c] to [b, *grid / cell, prod(cell), c]."""
    dims = len(cell)
    for axis, size in enumerate(cell):
        x = torch.unflatten(x, 1 + 2 * axis, (-1, size))
    outer = [1 + 2 * axis for axis in range(dims)]
    inner = [2 + 2 * axis for axis in range(dims)]
    x = x.permute(0, *outer, *inner, x.ndim - 1)
    return x.flatten(1 + dims, 2 * dims)


def join_cells(x: Tensor, cell: Sequence[int]) -> Tensor:
    """Inverse of `split_cells`."""
    dims = len(cell)
    x = torch.unflatten(x, 1 + dims, tuple(cell))
    order = [index for axis in range(dims) for index in (1 + axis, 1 + dims + axis)]
    x = x.permute(0, *order, x.ndim - 1)
    for axis in range(dims):
        x = x.flatten(1 + axis, 2 + axis)
    return x


def pad_grid(x: Tensor, multiple: Sequence[int]) -> Tensor:
    """Pads [b, *grid, c] with 0 at the end of each axis to a multiple."""
    padding = [0, 0]
    for size, step in zip(reversed(x.shape[1:-1]), reversed(multiple), strict=True):
        padding += [0, -size % step]
    return functional.pad(x, padding) if any(padding) else x


def crop_grid(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Cuts [b, *grid, c] to the first `shape` tokens."""
    for axis, size in enumerate(shape):
        x = x.narrow(1 + axis, 0, size)
    return x


def to_tokens(x: Tensor) -> Tensor:
    """Channels last: [b, c, *space] to [b, *space, c]."""
    return x.movedim(1, -1)


def to_image(x: Tensor) -> Tensor:
    """Channels first: [b, *space, c] to [b, c, *space]."""
    return x.movedim(-1, 1)


def init_transformer(network: nn.Module) -> None:
    """Normal of 0.02 for linear layers, as transformers are usually started."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def same_ids(ids: Tensor) -> Tensor:
    """Score bias [groups, 1, n, n] that forbids attention between tokens of different ids.

    Args:
        ids: [groups, n].
    """
    differs = ids[:, None, :, None] != ids[:, None, None, :]
    return torch.zeros(differs.shape, device=ids.device).masked_fill_(differs, -100.0)
