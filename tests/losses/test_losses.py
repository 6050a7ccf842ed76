from __future__ import annotations

import math

import pytest
import torch

from autoseg.losses import LOSSES
from autoseg.losses.deep_supervision import DeepSupervision, downsample_nearest, level_weights


def confident(target: torch.Tensor, classes: int) -> torch.Tensor:
    one_hot = torch.nn.functional.one_hot(target, classes).movedim(-1, 1).float()
    return 40 * one_hot


@pytest.mark.parametrize("batch_dice", [True, False])
def test_a_perfect_prediction_costs_nothing(batch_dice):
    target = torch.randint(0, 3, (2, 4, 5, 6))
    loss = LOSSES["dice_cross_entropy"](batch_dice=batch_dice)
    assert float(loss(confident(target, 3), target, None)) == pytest.approx(0, abs=1e-4)


def test_the_value_is_that_of_the_formula():
    target = torch.tensor([[[0, 1]]])
    logits = torch.zeros(1, 2, 1, 2)
    # Both voxels have probability 1/2: CE = ln 2, Dice = 2·0.5 / (1 + 1).
    loss = LOSSES["dice_cross_entropy"](batch_dice=True)(logits, target, None)
    assert float(loss) == pytest.approx(math.log(2) + 1 - 0.5, abs=1e-4)


def test_regions_may_overlap():
    target = torch.tensor([[[[1, 1, 0]], [[1, 0, 0]]]])
    logits = torch.where(target > 0, 40.0, -40.0)
    loss = LOSSES["dice_binary_cross_entropy"](batch_dice=True)
    assert float(loss(logits, target, None)) == pytest.approx(0, abs=1e-4)
    assert float(loss(-logits, target, None)) > 20


@pytest.mark.parametrize("name", ["dice_cross_entropy", "dice_binary_cross_entropy"])
def test_voxels_that_nobody_labelled_do_not_count(name):
    is_regions = name == "dice_binary_cross_entropy"
    target = torch.randint(0, 2, (1, 2, 6, 6) if is_regions else (1, 6, 6))
    logits = torch.randn(1, 2, 6, 6, requires_grad=True)
    valid = torch.zeros(1, 6, 6, dtype=torch.bool)
    valid[:, :3] = True
    loss = LOSSES[name](batch_dice=False)
    value = loss(logits, target, valid)
    value.backward()
    assert (logits.grad[..., 3:, :] == 0).all()
    changed = target.clone()
    changed[..., 3:, :] = 1 - changed[..., 3:, :]
    assert float(loss(logits, changed, valid)) == pytest.approx(float(value))


@pytest.mark.parametrize("valid", [None, torch.zeros(1, 4, 4, dtype=torch.bool)])
def test_absent_classes_and_empty_masks_stay_finite(valid):
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    logits = torch.randn(1, 5, 4, 4, requires_grad=True)
    value = LOSSES["dice_cross_entropy"](batch_dice=False)(logits, target, valid)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_levels_weigh_half_of_the_finer_and_the_coarsest_nothing():
    assert level_weights(4) == pytest.approx([4 / 7, 2 / 7, 1 / 7, 0])
    assert level_weights(1) == [1]


def test_targets_are_taken_at_the_centres_of_coarse_voxels():
    labels = torch.arange(8)[None]
    assert downsample_nearest(labels, (4,)).tolist() == [[1, 3, 5, 7]]
    assert downsample_nearest(labels, (8,)) is labels


def test_deep_supervision_is_the_weighted_sum_of_its_levels():
    loss = LOSSES["dice_cross_entropy"](batch_dice=True)
    target = torch.randint(0, 2, (1, 8, 8))
    logits = [torch.randn(1, 2, size, size) for size in (8, 4, 2)]
    expected = sum(
        weight * loss(level, downsample_nearest(target, level.shape[2:]), None)
        for weight, level in zip((2 / 3, 1 / 3, 0), logits, strict=True)
    )
    assert float(DeepSupervision(loss)(logits, target, None)) == pytest.approx(float(expected))


@pytest.mark.parametrize("name", ["present_dice_cross_entropy", "dice_cross_entropy"])
def test_losses_are_finite_where_classes_are_absent(name):
    logits = torch.randn(2, 5, 6, 6, requires_grad=True)
    loss = LOSSES[name](batch_dice=True)(logits, torch.zeros(2, 6, 6, dtype=torch.long), None)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[:, 1:].abs().sum() > 0  # false positives are still punished


def test_absent_classes_do_not_hide_those_that_are_there():
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[0, :2, :2] = 1
    gradients = []
    for classes in (2, 60):
        logits = torch.zeros(1, classes, 8, 8, requires_grad=True)
        loss = LOSSES["present_dice_cross_entropy"](batch_dice=True)
        value = loss(logits, target, None)
        present = LOSSES["dice_cross_entropy"](batch_dice=True)(logits, target, None)
        if classes == 2:
            assert torch.isclose(value, present)
        else:
            assert value < present  # the absent ones cost 1 each there
        value.backward()
        gradients.append(float(logits.grad[0, 1, :2, :2].abs().sum()))
    assert gradients[1] > 0.3 * gradients[0]


def test_a_perfect_prediction_of_the_present_classes_costs_nothing():
    target = torch.zeros(2, 6, 6, dtype=torch.long)
    target[0, :3] = 4
    loss = LOSSES["present_dice_cross_entropy"](batch_dice=False)
    assert float(loss(confident(target, 9), target, None)) == pytest.approx(0, abs=1e-4)
    regions = torch.zeros(1, 3, 4, 4)
    regions[0, 1, 0] = 1
    loss = LOSSES["present_dice_binary_cross_entropy"](batch_dice=True)
    assert float(loss(80 * regions - 40, regions, None)) == pytest.approx(0, abs=1e-4)
