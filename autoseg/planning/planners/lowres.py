"""The low resolution of a cascade: the spacing at which a patch sees a quarter of a case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from autoseg.errors import InputError
from autoseg.planning.planners.drafts import Grid
from autoseg.planning.planners.request import Request, dropped
from autoseg.schema.plan import Configuration, Decision, PreviousStage

CASCADE = ("3d_lowres", "3d_cascade_fullres")
MIN_SHARE = 0.25
"""Share of the median case that a patch must see for a cascade to be needless."""
MIN_REDUCTION = 2
"""A low resolution with more than 1 / 2 of the voxels is no use."""
STEP = 1.03
MAX_STEPS = 200


def plan_lowres(
    fullres: Configuration, grid: Grid, draft: Callable[[Grid], Configuration]
) -> tuple[Configuration | None, str]:
    """Coarsens until a patch sees enough, by nnU-Net's rule.

    Args:
        fullres: The configuration at full resolution.
        grid: Its grid.
        draft: Drafts the low resolution at another grid.

    Returns:
        The configuration or None, and the reason.
    """
    voxels = float(np.prod(grid.shape))
    share = float(np.prod(fullres.patch_size)) / voxels
    if share >= MIN_SHARE:
        return None, f"a patch of 3d_fullres sees {share:.0%} of the median case"
    spacing = np.array(grid.spacing)
    lowres, remaining = fullres, voxels
    for _ in range(MAX_STEPS):
        if float(np.prod(lowres.patch_size)) / remaining >= MIN_SHARE:
            break
        # The finer axes first, until all are within a factor of two.
        finer = spacing.max() / spacing > 2
        spacing = np.where(finer, spacing * STEP, spacing) if finer.any() else spacing * STEP
        exact = np.array(grid.spacing) / spacing * np.array(grid.shape)
        remaining = float(np.prod(exact))
        lowres = draft(
            Grid(
                spacing=tuple(map(float, spacing)),
                shape=tuple(float(round(size)) for size in exact),
                exact_shape=tuple(map(float, exact)),
            )
        )
    seen = f"a patch of 3d_fullres sees {share:.0%} of the median case"
    if voxels / remaining < MIN_REDUCTION:
        fewer = f"{voxels / remaining:.1f} times fewer voxels"
        return None, f"{seen}, and a lower resolution would only have {fewer}"
    return lowres, f"{seen}, less than {MIN_SHARE:.0%}"


def plan_cascade(fullres: Configuration, name: str, lowres: str) -> Configuration:
    """The second stage: full resolution with the labels of the first as input."""
    return replace(fullres, name=name, previous=PreviousStage(names=(lowres,), kind="labels"))


def drop_cascade(names: Sequence[str], request: Request, reason: str) -> list[Decision]:
    """Decisions that the cascade is not planned.

    Raises:
        InputError: It was asked for by name.
    """
    for name in CASCADE:
        if name in request.configurations:
            raise InputError(
                f"--configurations {name}: not planned, {reason}. Leave it out, or give less "
                "memory with --memory."
            )
    return [dropped(name, reason) for name in CASCADE if name in names]
