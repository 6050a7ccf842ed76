"""Multi-path 2.5D: networks for three planes times several normalisations, and their fusion.

After Xue et al. 2020 ("A multi-path 2.5 dimensional convolutional neural network system for
segmenting stroke lesions in brain MRI images"): nine two-dimensional U-Nets, whose outputs are
stacked to volumes and joined by a small three-dimensional network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from autoseg.planning.families import short_training
from autoseg.planning.planners.drafts import Drafter, Grid, plan_channel
from autoseg.planning.topology import initial_patch
from autoseg.schema.plan import Configuration, NetworkSpec, PreviousStage

NORMALISATIONS = {"ct": ("ct", "zscore", "percentile")}
OTHER = ("zscore", "rescale_0_1", "percentile")
"""Normalisations of the paths, the usual one of a channel first."""
FIXED = ("none", "rgb_0_1")
"""Normalisations that say what the values mean; every path keeps them."""
FUSION_VOXELS = 64**3
FUSION_FEATURES = 16
FUSION_SHARE = 0.15
"""Share of a time budget that the fusion gets."""
EPOCHS, STEPS = 50, 50


def path_name(plane: str, number: int, drafter: Drafter) -> str:
    """Name of a path: its plane and the normalisation of the first channel that has a choice."""
    names = [choice[number] for choice in _choices(drafter) if len(set(choice)) > 1]
    return f"path_{plane}_{names[0] if names else number}"


def plan_paths(
    drafter: Drafter, planes: dict[str, int], plan: Callable[[str, int], Configuration]
) -> list[Configuration]:
    """Plans the paths.

    Args:
        drafter: Knows the channels.
        planes: Plane → axis of the transposed image along which its slices lie.
        plan: Plans a path by its name and that axis; called once per plane.
    """
    choices = _choices(drafter)
    paths = []
    for plane, axis in planes.items():
        first = plan(f"path_{plane}", axis)
        for number in range(len(OTHER)):
            channels = tuple(
                plan_channel(channel.name, choice[number], statistics, use_mask=channel.use_mask)
                for channel, choice, statistics in zip(
                    first.channels, choices, drafter.measures.intensities, strict=True
                )
            )
            name = path_name(plane, number, drafter)
            paths.append(replace(first, name=name, channels=channels))
    return paths


def _choices(drafter: Drafter) -> list[tuple[str, ...]]:
    """Normalisations per channel."""
    usual = [channel.normalisation for channel in drafter.channels()]
    return [
        (name,) * len(OTHER) if name in FIXED else NORMALISATIONS.get(name, OTHER) for name in usual
    ]


def plan_fusion(
    drafter: Drafter, grid: Grid, name: str, paths: list[Configuration]
) -> Configuration:
    """The network that joins the paths: some convolutions on their probabilities."""
    like = drafter.draft(name, grid, drafter.preset.reference[3])
    scale = (FUSION_VOXELS / 256**3) ** (1 / 3)
    patch = [
        max(1, min(round(size * scale), int(limit)))
        for size, limit in zip(initial_patch(grid.spacing, (np.inf,) * 3), grid.shape, strict=True)
    ]
    training = replace(
        short_training(like.training),
        learning_rate=1e-3,
        deep_supervision=False,
        augmentation="spatial",
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
    )
    return replace(
        like,
        patch_size=tuple(patch),
        batch_size=2,
        network=NetworkSpec(
            architecture="fusion",
            features=(FUSION_FEATURES,),
            kernel_sizes=((3, 3, 3),),
            strides=((1, 1, 1),),
            encoder_blocks=(2,),
            decoder_blocks=(),
        ),
        training=training,
        previous=PreviousStage(names=tuple(path.name for path in paths), kind="probabilities"),
    )
