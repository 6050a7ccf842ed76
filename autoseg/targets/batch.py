"""Targets of a batch: those of its patches, stacked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def stack_targets(made: Sequence[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    """Stacks targets and masks; patches without a mask are valid everywhere.

    Args:
        made: (target, valid_mask) of each patch; masks may have one channel or all.

    Returns:
        Target and mask with the batch as a first axis; None where no patch has a mask.
    """
    target = torch.stack([item for item, _ in made])
    masks = [mask for _, mask in made if mask is not None]
    if not masks:
        return target, None
    everywhere = torch.ones_like(masks[0][:1])
    channels = max(len(mask) for mask in masks)
    full = [everywhere if mask is None else mask for _, mask in made]
    return target, torch.stack([mask.expand(channels, *mask.shape[1:]) for mask in full])
