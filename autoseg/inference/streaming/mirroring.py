"""Test-time augmentation: the mean over mirrored tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from torch import Tensor

Network = Callable[[Tensor], Tensor]
"""Maps [b, c, *space] to logits [b, classes, *space]."""


def mirrored(network: Network, axes: Sequence[int]) -> Network:
    """Averages a network's logits over all combinations of mirrored axes.

    Args:
        network: The network.
        axes: Spatial axes, 0 is the first one.
    """
    flips = [
        tuple(axis + 2 for axis in chosen)
        for count in range(len(axes) + 1)
        for chosen in combinations(axes, count)
    ]

    def run(tiles: Tensor) -> Tensor:
        total = network(tiles)
        for flip in flips[1:]:
            total = total + network(tiles.flip(flip)).flip(flip)
        return total / len(flips)

    return run
