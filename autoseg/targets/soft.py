"""Shares of the raters as a target, and back to what most of them say."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autoseg.schema.labels import LabelScheme


def soft(
    raters: Tensor, labels: LabelScheme, generator: np.random.Generator
) -> tuple[Tensor, Tensor | None]:
    """Share of the raters who gave a voxel to each channel.

    Who ignored a voxel does not count there; what all raters ignored is background and not valid.

    Args:
        raters: [r, *patch] int64 indices.
        labels: What the indices mean.
        generator: Not used.

    Returns:
        [c, *patch] float32, channels as the network's, and a mask [1, *patch] or None.
    """
    voters = torch.full(raters.shape[1:], float(len(raters)), device=raters.device)
    valid_mask = None
    if labels.ignore_index is not None:
        voters = (raters != labels.ignore_index).sum(0).float()
        valid_mask = voters[None] > 0
    if labels.has_regions:
        groups = [list(indices) for indices in labels.class_indices]
    else:
        groups = [[index] for index in range(labels.num_indices)]
    shares = torch.stack([_votes(raters, group) / voters.clamp_min(1) for group in groups])
    if valid_mask is not None and not labels.has_regions:
        shares[0] += ~valid_mask[0]
    return shares, valid_mask


def _votes(raters: Tensor, indices: list[int]) -> Tensor:
    """How many raters gave a voxel one of the indices: [*patch]."""
    given = torch.zeros_like(raters, dtype=torch.bool)
    for index in indices:
        given |= raters == index
    return given.sum(0)


def harden(target: Tensor, *, has_regions: bool) -> Tensor:
    """The hard target that a soft one is nearest to; a tie goes to the foreground.

    Args:
        target: [b, c, *space].
        has_regions: Whether channels are regions.

    Returns:
        [b, regions, *space] bool, or [b, *space] class indices.
    """
    if has_regions:
        return target >= 0.5
    share, index = target[:, 1:].max(1)
    return torch.where(share >= target[:, 0], index + 1, 0)
