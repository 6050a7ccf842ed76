"""Primus: a plain vision transformer with small tokens and a light decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoseg.architectures.attention import init_transformer, to_image, to_tokens
from autoseg.architectures.blocks import CONVOLUTIONS, TRANSPOSED, init_convolutions
from autoseg.schema.plan import NetworkSpec

ROTARY_BASE = 100.0
LAYER_SCALE = 0.1


def rotary_angles(grid: Sequence[int], head_channels: int, device: torch.device) -> Tensor:
    """Angles of the rotary position embedding: [tokens, pairs].

    Each axis of the grid turns an equal share of the channel pairs; pairs that are left over
    where the channels do not divide stay as they are.
    """
    pairs = head_channels // 2
    share = pairs // len(grid)
    exponents = torch.arange(share, device=device) / max(share, 1)
    frequencies = ROTARY_BASE**-exponents
    positions = torch.meshgrid(*(torch.arange(size, device=device) for size in grid), indexing="ij")
    angles = [position.flatten()[:, None] * frequencies for position in positions]
    rest = torch.zeros(math.prod(grid), pairs - share * len(grid), device=device)
    return torch.cat((*angles, rest), dim=1)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns pairs of channels (i, i + half) of [b, heads, tokens, c] by their angles."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)


class Block(nn.Module):
    """Pre-norm attention and a gated feed-forward layer (SwiGLU), both with layer scale."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels)
        self.inner_norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, channels)
        self.scale_attention = nn.Parameter(torch.full((channels,), LAYER_SCALE))
        hidden = int(channels * 8 / 3)
        self.norm_feed = nn.LayerNorm(channels)
        self.gate = nn.Linear(channels, hidden)
        self.up = nn.Linear(channels, hidden)
        self.hidden_norm = nn.LayerNorm(hidden)
        self.down = nn.Linear(hidden, channels)
        self.scale_feed = nn.Parameter(torch.full((channels,), LAYER_SCALE))

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Maps tokens [b, n, c] to the same shape."""
        y = self.norm_attention(x)
        query, key, value = (
            torch.unflatten(part(y), -1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(
            rotate(query, cosine, sine).to(value.dtype),
            rotate(key, cosine, sine).to(value.dtype),
            value,
        )
        mixed = self.project(self.inner_norm(mixed.transpose(1, 2).flatten(-2)))
        x = x + self.scale_attention * mixed
        y = self.norm_feed(x)
        hidden = self.hidden_norm(functional.silu(self.gate(y)) * self.up(y))
        result: Tensor = x + self.scale_feed * self.down(hidden)
        return result


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [b, c, *space]."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalises the channels of every voxel."""
        return to_image(super().forward(to_tokens(x)))


class Primus(nn.Module):
    """Plain transformer over tokens of 8x8x8 voxels.

    After Wald et al. 2025 ("Primus: Enforcing Attention Usage for 3D Medical Image
    Segmentation"): one convolution makes tokens, blocks in EVA-02's manner with a rotary position
    embedding in three dimensions mix them, three transposed convolutions make logits. For 1 channel
    and 2 classes S (396 features, 12 blocks, 6 heads) has 23.18, B (792, 12, 12) 91.84, M (864, 16,
    12) 145.11 and L (1056, 24, 16) 323.73 million parameters. That is what the authors' program
    has but for an absolute position embedding of one vector per token, which ours leaves out so
    that any patch can be predicted.

    Args:
        spec: One stage: `strides[0]` is the size of a token, `encoder_blocks[0]` the depth.
        in_channels: Image channels.
        out_channels: Channels of the logits.
    """

    def __init__(self, spec: NetworkSpec, in_channels: int, out_channels: int) -> None:
        super().__init__()
        channels, token = spec.features[0], tuple(spec.strides[0])
        self.heads = spec.heads[0]
        self.embed = CONVOLUTIONS[spec.dimensions](in_channels, channels, token, stride=token)
        self.blocks = nn.ModuleList(
            Block(channels, spec.heads[0]) for _ in range(spec.encoder_blocks[0])
        )
        self.norm = nn.LayerNorm(channels)
        self.decoder = nn.Sequential(*_decoder(channels, out_channels, token))
        init_convolutions(self)
        init_transformer(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps [b, c, *space] to logits of the finest level."""
        tokens = to_tokens(self.embed(x))
        grid = tokens.shape[1:-1]
        angles = rotary_angles(grid, tokens.shape[-1] // self.heads, x.device)
        cosine, sine = angles.cos(), angles.sin()
        tokens = tokens.flatten(1, -2)
        for block in self.blocks:
            tokens = block(tokens, cosine, sine)
        image = to_image(torch.unflatten(self.norm(tokens), 1, grid))
        return (self.decoder(image),)


def _decoder(channels: int, out_channels: int, token: Sequence[int]) -> list[nn.Module]:
    """Transposed convolutions by 2 until a token is resolved; channels fall geometrically."""
    count = max(size.bit_length() - 1 for size in token)
    transposed = TRANSPOSED[len(token)]
    ratio = (channels / (2 * out_channels)) ** (1 / max(count, 1))
    widths = [channels]
    for level in range(1, count):
        widths.append(max(8, round(channels / ratio**level / 8) * 8))
    layers: list[nn.Module] = []
    for level, width in enumerate(widths):
        # Axes with smaller tokens are done later.
        step = tuple(2 if size >= 2 ** (count - level) else 1 for size in token)
        if level == count - 1 or count == 0:
            layers.append(transposed(width, out_channels, step, step))
        else:
            layers.append(transposed(width, widths[level + 1], step, step))
            layers += [ChannelNorm(widths[level + 1]), nn.GELU()]
    return layers
