from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from autoseg.losses import Loss, build_loss
from autoseg.losses.deep_supervision import DeepSupervision, downsample_nearest, level_weights
from autoseg.losses.dice_cross_entropy import cross_entropy
from tests.conftest import make_configuration

LABELS = ["dice_cross_entropy", "dice_cross_entropy of present"]
REGIONS = ["dice_binary_cross_entropy", "dice_binary_cross_entropy of present"]


def build(name: str, *, batch_dice: bool) -> Loss:
    """A loss as the trainer builds it; "of present" counts the Dice of present classes only."""
    name, _, classes = name.partition(" of ")
    plan = replace(make_configuration().training, loss=name, batch_dice=batch_dice)
    return build_loss(replace(plan, dice_classes=classes or "all"))


def confident(target: torch.Tensor, classes: int) -> torch.Tensor:
    one_hot = torch.nn.functional.one_hot(target, classes).movedim(-1, 1).float()
    return 40 * one_hot


@pytest.mark.parametrize("batch_dice", [True, False])
def test_a_perfect_prediction_costs_nothing(batch_dice):
    target = torch.randint(0, 3, (2, 4, 5, 6))
    loss = build("dice_cross_entropy", batch_dice=batch_dice)
    assert float(loss(confident(target, 3), target, None)) == pytest.approx(0, abs=1e-4)


def test_the_value_is_that_of_the_formula():
    target = torch.tensor([[[0, 1]]])
    logits = torch.zeros(1, 2, 1, 2)
    # Both voxels have probability 1/2: CE = ln 2, Dice = 2·0.5 / (1 + 1).
    loss = build("dice_cross_entropy", batch_dice=True)(logits, target, None)
    assert float(loss) == pytest.approx(math.log(2) + 1 - 0.5, abs=1e-4)


def test_regions_may_overlap():
    target = torch.tensor([[[[1, 1, 0]], [[1, 0, 0]]]])
    logits = torch.where(target > 0, 40.0, -40.0)
    loss = build("dice_binary_cross_entropy", batch_dice=True)
    assert float(loss(logits, target, None)) == pytest.approx(0, abs=1e-4)
    assert float(loss(-logits, target, None)) > 20


@pytest.mark.parametrize("name", ["dice_cross_entropy", "dice_binary_cross_entropy"])
def test_voxels_that_nobody_labelled_do_not_count(name):
    is_regions = name == "dice_binary_cross_entropy"
    target = torch.randint(0, 2, (1, 2, 6, 6) if is_regions else (1, 6, 6))
    logits = torch.randn(1, 2, 6, 6, requires_grad=True)
    valid = torch.zeros(1, 1, 6, 6, dtype=torch.bool)
    valid[:, :, :3] = True
    loss = build(name, batch_dice=False)
    value = loss(logits, target, valid)
    value.backward()
    assert (logits.grad[..., 3:, :] == 0).all()
    changed = target.clone()
    changed[..., 3:, :] = 1 - changed[..., 3:, :]
    again = loss(logits.detach(), changed, valid)
    assert float(again) == pytest.approx(float(value.detach()))


@pytest.mark.parametrize(
    "valid",
    [None, torch.zeros(1, 1, 4, 4, dtype=torch.bool), torch.zeros(1, 5, 4, 4, dtype=torch.bool)],
)
def test_absent_classes_and_empty_masks_stay_finite(valid):
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    logits = torch.randn(1, 5, 4, 4, requires_grad=True)
    value = build("dice_cross_entropy", batch_dice=False)(logits, target, valid)
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
    loss = build("dice_cross_entropy", batch_dice=True)
    target = torch.randint(0, 2, (1, 8, 8))
    logits = [torch.randn(1, 2, size, size) for size in (8, 4, 2)]
    expected = sum(
        weight * loss(level, downsample_nearest(target, level.shape[2:]), None)
        for weight, level in zip((2 / 3, 1 / 3, 0), logits, strict=True)
    )
    assert float(DeepSupervision(loss)(logits, target, None)) == pytest.approx(float(expected))


@pytest.mark.parametrize("name", ["dice_cross_entropy of present", "dice_cross_entropy"])
def test_losses_are_finite_where_classes_are_absent(name):
    logits = torch.randn(2, 5, 6, 6, requires_grad=True)
    loss = build(name, batch_dice=True)(logits, torch.zeros(2, 6, 6, dtype=torch.long), None)
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
        loss = build("dice_cross_entropy of present", batch_dice=True)
        value = loss(logits, target, None)
        present = build("dice_cross_entropy", batch_dice=True)(logits, target, None)
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
    loss = build("dice_cross_entropy of present", batch_dice=False)
    assert float(loss(confident(target, 9), target, None)) == pytest.approx(0, abs=1e-4)
    regions = torch.zeros(1, 3, 4, 4)
    regions[0, 1, 0] = 1
    loss = build("dice_binary_cross_entropy of present", batch_dice=True)
    assert float(loss(80 * regions - 40, regions, None)) == pytest.approx(0, abs=1e-4)


def one_hot(target: torch.Tensor, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(target, classes).movedim(-1, 1).float()


@pytest.mark.parametrize("batch_dice", [True, False])
@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("mask", ["none", "ignore", "per channel"])
def test_a_soft_target_that_is_one_hot_costs_what_the_hard_one_does(name, batch_dice, mask):
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 4, (2, 5, 6), generator=generator)
    channels = {"none": 0, "ignore": 1, "per channel": 4}[mask]
    valid = torch.rand(2, channels, 5, 6, generator=generator) > 0.3 if channels else None
    values, gradients = [], []
    for given in (target, one_hot(target, 4)):
        logits = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(1))
        logits.requires_grad_()
        value = build(name, batch_dice=batch_dice)(logits, given, valid)
        value.backward()
        values.append(float(value.detach()))
        gradients.append(logits.grad)
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    assert torch.allclose(*gradients, atol=1e-6)


def test_the_value_of_a_soft_target_is_that_of_the_formula():
    shares = torch.tensor([[[0.25, 1.0]], [[0.75, 0.0]]])[None]
    # CE = ln 2 whatever the shares; Dice = 2·(.5·.75) / (.5 + .5 + .75).
    value = build("dice_cross_entropy", batch_dice=True)(torch.zeros(1, 2, 1, 2), shares, None)
    assert float(value) == pytest.approx(math.log(2) + 1 - 0.75 / 1.75, abs=1e-4)
    target = shares[:, 1:]
    loss = build("dice_binary_cross_entropy", batch_dice=True)
    value = loss(torch.zeros(1, 1, 1, 2), target, None)
    assert float(value) == pytest.approx(math.log(2) + 1 - 0.75 / 1.75, abs=1e-4)


def test_the_cross_entropy_of_a_soft_target_is_least_at_its_shares():
    shares = torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1)
    log_probabilities = shares.log().requires_grad_()
    value = cross_entropy(log_probabilities.log_softmax(1), shares, None)
    value.backward()
    assert log_probabilities.grad.abs().max() < 1e-6
    assert float(value.detach()) == pytest.approx(
        -sum(q * math.log(q) for q in (0.2, 0.5, 0.3)), abs=1e-5
    )


@pytest.mark.parametrize("batch_dice", [True, False])
@pytest.mark.parametrize("name", REGIONS)
def test_a_region_that_is_valid_nowhere_is_as_good_as_not_there(name, batch_dice):
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 6, 6, generator=generator) > 0.5
    logits = torch.randn(2, 3, 6, 6, generator=generator).requires_grad_()
    valid = torch.ones(2, 3, 6, 6, dtype=torch.bool)
    valid[:, 1] = False
    loss = build(name, batch_dice=batch_dice)
    value = loss(logits, target, valid)
    value.backward()
    kept = [0, 2]
    alone = loss(logits.detach()[:, kept], target[:, kept], None)
    assert float(value.detach()) == pytest.approx(float(alone))
    assert (logits.grad[:, 1] == 0).all()
    assert (logits.grad[:, kept] != 0).all()


@pytest.mark.parametrize("name", REGIONS)
def test_a_region_that_one_sample_lacks_is_learnt_from_the_other(name):
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 2, 6, 6, generator=generator) > 0.5
    logits = torch.randn(2, 2, 6, 6, generator=generator).requires_grad_()
    valid = torch.ones(2, 2, 6, 6, dtype=torch.bool)
    valid[0, 1] = False
    value = build(name, batch_dice=False)(logits, target, valid)
    value.backward()
    assert (logits.grad[0, 1] == 0).all()
    assert (logits.grad[0, 0] != 0).all()
    assert (logits.grad[1] != 0).all()
    # The mean runs over the three maps that are known.
    single, logits = build(name, batch_dice=False), logits.detach()
    parts = [
        single(logits[index : index + 1, channels], target[index : index + 1, channels], None)
        for index, channels in ((0, [0]), (1, [0]), (1, [1]))
    ]
    assert float(value.detach()) == pytest.approx(float(sum(parts)) / 3)


def test_where_the_background_may_hide_a_class_their_probabilities_are_added():
    # Class 2 was not outlined: background voxels may be of class 2, voxels of class 1 are sure.
    target = torch.tensor([[[0, 1]]])
    valid = torch.tensor([[[[False, True]], [[True, True]], [[False, True]]]])
    logits = torch.tensor([[[[1.0, 0.5]], [[2.0, 0.3]], [[-1.0, 0.1]]]])
    probabilities = logits.softmax(1)
    unsure = -math.log(probabilities[0, 0, 0, 0] + probabilities[0, 2, 0, 0])
    sure = -math.log(probabilities[0, 1, 0, 1])
    found = cross_entropy(logits.log_softmax(1), target, valid)
    assert float(found) == pytest.approx((unsure + sure) / 2)


def test_a_class_that_was_not_outlined_is_not_pushed_away_from_background():
    target = torch.zeros(1, 6, 6, dtype=torch.long)
    target[0, :2] = 1
    valid = torch.ones(1, 3, 6, 6, dtype=torch.bool)
    valid[:, 2] = False
    valid[:, 0] = target[0] != 0
    logits = torch.zeros(1, 3, 6, 6).requires_grad_()
    build("dice_cross_entropy", batch_dice=True)(logits, target, valid).backward()
    background = target[0] == 0
    # Both are pulled up alike, at the cost of class 1.
    assert torch.allclose(logits.grad[0, 2][background], logits.grad[0, 0][background])
    assert (logits.grad[0, 2][background] < 0).all()
    assert (logits.grad[0, 1][background] > 0).all()


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("soft", [False, True])
def test_a_mask_of_equal_channels_says_what_a_mask_of_one_does(name, soft):
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 3, (1, 6, 6), generator=generator)
    target = one_hot(target, 3) if soft else target
    logits = torch.randn(1, 3, 6, 6, generator=generator)
    valid = torch.rand(1, 1, 6, 6, generator=generator) > 0.5
    loss = build(name, batch_dice=True)
    wanted = float(loss(logits, target, valid))
    assert float(loss(logits, target, valid.expand(1, 3, 6, 6))) == pytest.approx(wanted)


@pytest.mark.parametrize("name", LABELS + REGIONS)
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_gradients_are_those_of_finite_differences(name, channels, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # enough digits to compare
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 2, 3, generator=generator, dtype=torch.float64).requires_grad_()
    target = torch.rand(1, 3, 2, 3, generator=generator, dtype=torch.float64)
    if name in LABELS:
        target = target / target.sum(1, keepdim=True)
    valid = torch.rand(1, channels, 2, 3, generator=generator) > 0.4 if channels else None
    loss = build(name, batch_dice=False)
    assert torch.autograd.gradcheck(lambda item: loss(item, target, valid), logits)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("soft", [False, True])
def test_targets_and_masks_of_coarser_levels_lie_at_the_same_voxels(channels, soft):
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 3, (2, 8, 8), generator=generator)
    valid = torch.rand(2, channels, 8, 8, generator=generator) > 0.3
    logits = [torch.randn(2, 3, size, size, generator=generator) for size in (8, 4, 2)]
    loss = build("dice_cross_entropy", batch_dice=True)
    given = one_hot(target, 3) if soft else target
    # Centres of voxels of the half resolution: 1, 3, 5, 7.
    half = loss(logits[1], target[:, 1::2, 1::2], valid[..., 1::2, 1::2])
    expected = (2 * loss(logits[0], target, valid) + half) / 3
    found = DeepSupervision(loss)(logits, given, valid)
    assert float(found) == pytest.approx(float(expected))
