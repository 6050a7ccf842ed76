"""What most raters say; a tie goes to the foreground."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autoseg.schema.labels import LabelScheme
from autoseg.targets.label_map import from_label_map


def majority(
    raters: Tensor, labels: LabelScheme, generator: np.random.Generator
) -> tuple[Tensor, Tensor | None]:
    """Most frequent index per voxel, as a hard target.

    A tie goes to the foreground, and there to the lower index. Who ignored a voxel has no vote
    there; what all raters ignored is not valid. It is the rule of `preprocessing.raters.majority`,
    which makes the references of validation.

    Args:
        raters: [r, *patch] int64 indices.
        labels: What the indices mean.
        generator: Not used.
    """
    if len(raters) == 1:
        return from_label_map(raters[0], labels)
    best = torch.zeros(raters.shape[1:], dtype=torch.int64, device=raters.device)
    result = torch.full_like(best, labels.ignore_index or 0)
    present = torch.bincount(raters.flatten(), minlength=labels.num_indices)[: labels.num_indices]
    for index in [*present[1:].nonzero()[:, 0].add(1).tolist(), 0]:
        votes = (raters == index).sum(0)
        better = votes > best
        best = torch.where(better, votes, best)
        result = torch.where(better, index, result)
    return from_label_map(result, labels)
