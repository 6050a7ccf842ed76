"""One label map as a target: class indices, or masks of regions."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from autoseg.schema.labels import LabelScheme


def from_label_map(label_map: Tensor, labels: LabelScheme) -> tuple[Tensor, Tensor | None]:
    """Turns a label map into a hard target.

    Args:
        label_map: [*patch] int64 indices, with the ignore index where nobody labelled.
        labels: What the indices mean.

    Returns:
        [*patch] class indices, or [regions, *patch] bool; and [1, *patch] bool, where it is
        labelled, or None without an ignore label.
    """
    valid_mask = None
    if labels.ignore_index is not None:
        valid_mask = label_map != labels.ignore_index
        label_map = label_map * valid_mask
        valid_mask = valid_mask[None]
    if labels.has_regions:
        return region_members(labels, label_map.device)[:, label_map], valid_mask
    return label_map, valid_mask


@lru_cache(maxsize=32)
def region_members(labels: LabelScheme, device: torch.device) -> Tensor:
    """Which indices belong to which region: [regions, indices] bool."""
    members = torch.zeros(len(labels.classes), labels.num_indices, dtype=torch.bool)
    for region, indices in enumerate(labels.class_indices):
        members[region, list(indices)] = True
    return members.to(device)
