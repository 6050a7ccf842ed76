"""Table of augmentations: what a name in the plan switches on."""

from __future__ import annotations

from dataclasses import dataclass

from autoseg.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Which groups of transforms are drawn.

    Attributes:
        spatial: Rotation and scaling.
        intensity: Noise, blur, brightness, contrast, low resolution, gamma.
    """

    spatial: bool
    intensity: bool


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation",
    {
        "standard": Augmentation(spatial=True, intensity=True),
        "spatial": Augmentation(spatial=True, intensity=False),
        "none": Augmentation(spatial=False, intensity=False),
    },
)
