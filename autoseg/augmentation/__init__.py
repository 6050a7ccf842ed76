"""Table of augmentations: what a name in the plan switches on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoseg.augmentation.nnunet_scheme import nnunet_chain
from autoseg.augmentation.transforms import TransformChain
from autoseg.registry import Registry
from autoseg.schema.plan import Configuration


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Which groups of transforms are drawn.

    Attributes:
        spatial: Rotation and scaling.
        intensity: Noise, blur, brightness, contrast, low resolution, gamma.
        chain: Makes batchgenerators' transforms for a configuration, which processes apply; None
            for our own, which are applied where the network is trained.
    """

    spatial: bool
    intensity: bool
    chain: Callable[[Configuration], TransformChain] | None = None


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation",
    {
        "standard": Augmentation(spatial=True, intensity=True),
        "spatial": Augmentation(spatial=True, intensity=False),
        "nnunet": Augmentation(spatial=True, intensity=True, chain=nnunet_chain),
        "none": Augmentation(spatial=False, intensity=False),
    },
)
