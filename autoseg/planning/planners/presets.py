"""nnU-Net's planners by their numbers, and its training."""

from __future__ import annotations

from dataclasses import dataclass

from autoseg.errors import UnknownNameError
from autoseg.schema.labels import LabelScheme
from autoseg.schema.plan import TrainingPlan

GIGABYTE = 2**30


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One of nnU-Net's planners by its numbers.

    Attributes:
        family: Name in the table of network families.
        reference: Dimensions → feature map elements that fit `reference_gb`.
        reference_gb: GPU memory for which the reference was measured.
        share_of_dataset: Largest share of the data set's voxels that a batch may hold.
        shrink_per_reference_batch: Whether the patch shrinks until the reference batch fits
            (residual) or until two patches do (plain).
    """

    family: str
    reference: dict[int, float]
    reference_gb: float
    share_of_dataset: float
    shrink_per_reference_batch: bool


PRESETS = {
    "plain": Preset(
        family="plain_unet",
        reference={3: 560e6, 2: 85e6},
        reference_gb=8,
        share_of_dataset=0.05,
        shrink_per_reference_batch=False,
    ),
    "M": Preset(
        family="residual_unet",
        reference={3: 680e6, 2: 135e6},
        reference_gb=8,
        share_of_dataset=1.0,
        shrink_per_reference_batch=True,
    ),
    "L": Preset(
        family="residual_unet",
        reference={3: 2.1e9, 2: 380e6},
        reference_gb=24,
        share_of_dataset=1.0,
        shrink_per_reference_batch=True,
    ),
    "XL": Preset(
        family="residual_unet",
        reference={3: 3.6e9, 2: 560e6},
        reference_gb=40,
        share_of_dataset=1.0,
        shrink_per_reference_batch=True,
    ),
}


def find_preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        UnknownNameError: There is no such preset.
    """
    if name not in PRESETS:
        raise UnknownNameError("network", name, PRESETS)
    return PRESETS[name]


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
