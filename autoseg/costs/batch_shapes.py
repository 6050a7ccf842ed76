"""What a batch's target looks like, without making one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autoseg.schema.plan import Configuration
from autoseg.targets import TARGETS


@dataclass(frozen=True, kw_only=True)
class BatchShapes:
    """Target and mask of a batch by their shapes.

    Attributes:
        target: Shape.
        dtype: Type of the target.
        valid_mask: Shape, or None.
    """

    target: tuple[int, ...]
    dtype: torch.dtype
    valid_mask: tuple[int, ...] | None

    def blank(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """A target of background, valid everywhere."""
        target = torch.zeros(self.target, dtype=self.dtype, device=device)
        if self.valid_mask is None:
            return target, None
        return target, torch.ones(self.valid_mask, dtype=torch.bool, device=device)


def batch_shapes(configuration: Configuration) -> BatchShapes:
    """Finds the shapes of a configuration's batches by making the target of one voxel."""
    labels, patch = configuration.labels, configuration.patch_size
    voxel = torch.zeros(1, *(1 for _ in patch), dtype=torch.int64)
    make = TARGETS[configuration.training.target]
    target, valid_mask = make(voxel, labels, np.random.default_rng(0))

    def shape(item: Tensor) -> tuple[int, ...]:
        return (configuration.batch_size, *item.shape[: -len(patch)], *patch)

    return BatchShapes(
        target=shape(target),
        dtype=target.dtype,
        valid_mask=None if valid_mask is None else shape(valid_mask),
    )
