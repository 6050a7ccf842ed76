"""Dice plus cross entropy, for exclusive classes and for overlapping regions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SMOOTH = 1e-5


def soft_dice_loss(
    probabilities: Tensor,
    one_hot: Tensor,
    valid_mask: Tensor | None,
    *,
    batch_dice: bool,
    present_only: bool = False,
) -> Tensor:
    """One minus the mean soft Dice of all given channels.

    Args:
        probabilities: [b, c, *space].
        one_hot: [b, c, *space], bool or float.
        valid_mask: [b, *space] bool, or None where every voxel counts.
        batch_dice: Sums run over the batch as well.
        present_only: Only channels that have a voxel count. Absent ones have a Dice near 0 whatever
            is predicted, which with many small classes hides those that are there.
    """
    if valid_mask is not None:
        probabilities = probabilities * valid_mask[:, None]
        one_hot = one_hot * valid_mask[:, None]
    axes = list(range(2, probabilities.ndim))
    intersection = (probabilities * one_hot).sum(axes)
    reference = one_hot.sum(axes)
    total = probabilities.sum(axes) + reference
    if batch_dice:
        intersection, total, reference = intersection.sum(0), total.sum(0), reference.sum(0)
    dice = (2 * intersection + SMOOTH) / (total + SMOOTH).clamp_min(1e-8)
    if not present_only:
        return 1 - dice.mean()
    present = reference > 0
    return ((1 - dice) * present).sum() / present.sum().clamp_min(1)


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
            target: [b, *space], class indices.
            valid_mask: [b, *space] bool, or None.
        """
        logits = logits.float()
        log_probabilities = functional.log_softmax(logits, dim=1)
        picked = functional.nll_loss(log_probabilities, target, reduction="none")
        if valid_mask is None:
            cross_entropy = picked.mean()
        else:
            cross_entropy = (picked * valid_mask).sum() / valid_mask.sum().clamp_min(1)
        foreground = torch.arange(1, logits.shape[1], device=logits.device)
        shape = [1, -1] + [1] * (target.ndim - 1)
        one_hot = target[:, None] == foreground.view(shape)
        dice = soft_dice_loss(
            log_probabilities[:, 1:].exp(),
            one_hot,
            valid_mask,
            batch_dice=self.batch_dice,
            present_only=self.present_only,
        )
        return cross_entropy + dice


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
            target: [b, regions, *space], 0 or 1.
            valid_mask: [b, *space] bool, or None.
        """
        logits = logits.float()
        target = target.float()
        elementwise = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if valid_mask is None:
            cross_entropy = elementwise.mean()
        else:
            count = valid_mask.sum().clamp_min(1) * logits.shape[1]
            cross_entropy = (elementwise * valid_mask[:, None]).sum() / count
        dice = soft_dice_loss(
            logits.sigmoid(),
            target,
            valid_mask,
            batch_dice=self.batch_dice,
            present_only=self.present_only,
        )
        return cross_entropy + dice
