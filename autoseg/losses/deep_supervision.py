"""The same loss at every decoder level, against the downsampled target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autoseg.losses import Loss


def level_weights(num_levels: int) -> list[float]:
    """1, 1/2, 1/4, … with the coarsest level left out (weight 0), summing to 1."""
    weights = [0.5**level for level in range(num_levels)]
    if num_levels > 1:
        weights[-1] = 0.0
    total = sum(weights)
    return [weight / total for weight in weights]


def downsample_nearest(labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Takes the voxel that lies at the centre of each coarse voxel, for the trailing axes.

    Label maps, shares and masks of any number of channels come out alike.
    """
    offset = labels.ndim - len(shape)
    for axis, size in enumerate(shape):
        have = labels.shape[offset + axis]
        if have != size:
            index = ((torch.arange(size, device=labels.device) + 0.5) * (have / size)).long()
            labels = labels.index_select(offset + axis, index.clamp_max_(have - 1))
    return labels


class DeepSupervision(nn.Module):
    """Weighted sum of a loss over the decoder's levels.

    Args:
        loss: See the table of losses.
    """

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        self.loss = loss

    def forward(
        self, logits: Sequence[Tensor], target: Tensor, valid_mask: Tensor | None
    ) -> Tensor:
        """Computes the loss of all levels.

        Args:
            logits: Finest first, each [b, c, *space / 2^level].
            target: [b, *space] or [b, c, *space].
            valid_mask: [b, 1, *space] or [b, c, *space] bool, or None.
        """
        total = torch.zeros((), device=logits[0].device)
        for weight, level in zip(level_weights(len(logits)), logits, strict=True):
            if weight:
                shape = level.shape[2:]
                mask = None if valid_mask is None else downsample_nearest(valid_mask, shape)
                total = total + weight * self.loss(level, downsample_nearest(target, shape), mask)
        return total
