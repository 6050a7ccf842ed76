"""Dice plus cross entropy, for exclusive classes and for overlapping regions."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

SMOOTH = 1e-5


def soft_dice_loss(
    probabilities: Tensor,
    reference: Tensor,
    valid_mask: Tensor | None,
    *,
    batch_dice: bool,
    present_only: bool = False,
) -> Tensor:
    """One minus the mean soft Dice of all given channels.

    Args:
        probabilities: [b, c, *space].
        reference: [b, c, *space], bool, or float where it is soft.
        valid_mask: [b, 1, *space] or [b, c, *space] bool, or None where every voxel counts. Of
            several channels those that are valid nowhere are left out of the mean.
        batch_dice: Sums run over the batch as well.
        present_only: Only channels that have a voxel count. Absent ones have a Dice near 0 whatever
            is predicted, which with many small classes hides those that are there.
    """
    if valid_mask is not None:
        probabilities = probabilities * valid_mask
        reference = reference * valid_mask
    axes = list(range(2, probabilities.ndim))
    intersection = (probabilities * reference).sum(axes)
    size = reference.sum(axes)
    total = probabilities.sum(axes) + size
    known = valid_mask.flatten(2).any(2) if is_per_channel(valid_mask) else None
    if batch_dice:
        intersection, total, size = intersection.sum(0), total.sum(0), size.sum(0)
        known = None if known is None else known.any(0)
    dice = (2 * intersection + SMOOTH) / (total + SMOOTH).clamp_min(1e-8)
    if present_only:
        known = size > 0
    if known is None:
        return 1 - dice.mean()
    return ((1 - dice) * known).sum() / known.sum().clamp_min(1)


def is_per_channel(valid_mask: Tensor | None) -> TypeGuard[Tensor]:
    """Whether a mask says for each channel of its own what is known."""
    return valid_mask is not None and valid_mask.shape[1] > 1


class DiceCrossEntropy(nn.Module):
    """Soft Dice over the foreground plus cross entropy, weights 1 and 1 (nnU-Net's default).

    Args:
        batch_dice: Dice over the whole batch instead of per sample.
        present_only: Dice of classes that are in the batch only; cross entropy sees all.
    """

    def __init__(self, *, batch_dice: bool, present_only: bool = False) -> None:
        super().__init__()
        self.batch_dice = batch_dice
        self.present_only = present_only

    def forward(self, logits: Tensor, target: Tensor, valid_mask: Tensor | None) -> Tensor:
        """Computes the loss.

        Args:
            logits: [b, c, *space], channel 0 is the background.
            target: [b, *space] class indices, or [b, c, *space] shares that add up to 1.
            valid_mask: [b, 1, *space] or [b, c, *space] bool, or None.
        """
        logits = logits.float()
        log_probabilities = functional.log_softmax(logits, dim=1)
        entropy = cross_entropy(log_probabilities, target, valid_mask)
        dice = soft_dice_loss(
            log_probabilities[:, 1:].exp(),
            _foreground(target, logits),
            valid_mask[:, 1:] if is_per_channel(valid_mask) else valid_mask,
            batch_dice=self.batch_dice,
            present_only=self.present_only,
        )
        return entropy + dice


def cross_entropy(log_probabilities: Tensor, target: Tensor, valid_mask: Tensor | None) -> Tensor:
    """Mean cross entropy over the voxels of which something is known.

    Where the target's channel is not valid, the voxel belongs to some channel that is not valid:
    what counts there is the sum of their probabilities (the marginal loss for partial labels: Shi
    et al., Medical Image Analysis 2021). Where no channel is valid, the voxel does not count.

    Args:
        log_probabilities: [b, c, *space].
        target: [b, *space] class indices, or [b, c, *space] shares that add up to 1.
        valid_mask: [b, 1, *space] or [b, c, *space] bool, or None.
    """
    if is_per_channel(valid_mask):
        picked = _marginal_cross_entropy(log_probabilities, target, valid_mask)
    elif target.ndim == log_probabilities.ndim:
        picked = -(target * log_probabilities).sum(1)
    else:
        picked = functional.nll_loss(log_probabilities, target, reduction="none")
    if valid_mask is None:
        return picked.mean()
    counts = valid_mask.any(1)
    return (picked * counts).sum() / counts.sum().clamp_min(1)


def _marginal_cross_entropy(
    log_probabilities: Tensor, target: Tensor, valid_mask: Tensor
) -> Tensor:
    shares = target
    if target.ndim < log_probabilities.ndim:
        shares = functional.one_hot(target, log_probabilities.shape[1]).movedim(-1, 1)
    # A large number, not infinity: where all channels are valid it is multiplied by 0.
    lowest = torch.finfo(log_probabilities.dtype).min / 2
    unknown = log_probabilities.masked_fill(valid_mask, lowest).logsumexp(1)
    known = (shares * valid_mask * log_probabilities).sum(1)
    return -(known + (shares * ~valid_mask).sum(1) * unknown)


def _foreground(target: Tensor, logits: Tensor) -> Tensor:
    """The foreground channels of a target: [b, c - 1, *space], bool or float."""
    if target.ndim == logits.ndim:
        return target[:, 1:]
    foreground = torch.arange(1, logits.shape[1], device=logits.device)
    return target[:, None] == foreground.view([1, -1] + [1] * (target.ndim - 1))


class DiceBinaryCrossEntropy(nn.Module):
    """Soft Dice plus binary cross entropy for regions, which may overlap.

    Args:
        batch_dice: Dice over the whole batch instead of per sample.
        present_only: Dice of classes that are in the batch only; cross entropy sees all.
    """

    def __init__(self, *, batch_dice: bool, present_only: bool = False) -> None:
        super().__init__()
        self.batch_dice = batch_dice
        self.present_only = present_only

    def forward(self, logits: Tensor, target: Tensor, valid_mask: Tensor | None) -> Tensor:
        """Computes the loss.

        Args:
            logits: [b, regions, *space].
            target: [b, regions, *space], bool, or shares from 0 to 1.
            valid_mask: [b, 1, *space] or [b, regions, *space] bool, or None.
        """
        logits = logits.float()
        target = target.float()
        elementwise = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if valid_mask is None:
            cross_entropy = elementwise.mean()
        else:
            count = valid_mask.expand_as(elementwise).sum().clamp_min(1)
            cross_entropy = (elementwise * valid_mask).sum() / count
        dice = soft_dice_loss(
            logits.sigmoid(),
            target,
            valid_mask,
            batch_dice=self.batch_dice,
            present_only=self.present_only,
        )
        return cross_entropy + dice
