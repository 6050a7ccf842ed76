"""nnU-Net's own training, which plans begin with and imported models have."""

from __future__ import annotations

from autoseg.schema.labels import LabelScheme
from autoseg.schema.plan import TrainingPlan


def nnunet_training(labels: LabelScheme, dims: int) -> TrainingPlan:
    """nnU-Net's training: 1000 epochs of 250 steps of SGD."""
    return TrainingPlan(
        loss="dice_binary_cross_entropy" if labels.has_regions else "dice_cross_entropy",
        batch_dice=dims == 2,
        deep_supervision=True,
        optimiser="sgd",
        learning_rate=0.01,
        weight_decay=3e-5,
        momentum=0.99,
        schedule="poly",
        epochs=1000,
        steps_per_epoch=250,
        time_budget_s=None,
        foreground_fraction=0.33,
        augmentation="standard",
        mirror_axes=tuple(range(dims)),
        gradient_clip=12.0,
        weight_average=0.0,
    )
