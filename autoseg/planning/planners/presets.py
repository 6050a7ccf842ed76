"""nnU-Net's planners by their numbers, and its training."""

from __future__ import annotations

from dataclasses import dataclass

from autoseg.errors import UnknownNameError

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
