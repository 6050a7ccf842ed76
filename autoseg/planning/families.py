"""Families of networks: how a patch becomes a network, and how such networks are trained.

A family says what a planner must know about an architecture. Architectures of plug-ins that bring
no family are planned like plain U-Nets, whose features, strides and kernels they get.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autoseg.errors import UnknownNameError
from autoseg.planning.topology import Topology
from autoseg.registry import Registry
from autoseg.schema.plan import NetworkSpec, TrainingPlan

MAX_FEATURES = {2: 512, 3: 320}
RESIDUAL_BLOCKS = (1, 3, 4, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6)
WINDOW = 7
SWIN_LEVELS = 6
UNET_WIDTHS = (32, 24, 16, 8)
SWIN_WIDTHS = (48, 32, 16)
DFORMER_WIDTHS = (96, 64, 32)
PRIMUS_WIDTHS = (864, 396, 192)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network that may fit a time budget.

    Attributes:
        width: Features of the finest level.
        patch_share: Voxels of the patch's axes relative to the planned ones.
        min_steps: Steps that it must see to be worth its cost.
        deep: The family's full depth; False for a shallower network.
        smallest_axis: Voxels below which no axis is shortened.
        max_batch: Largest batch, or None for the usual one.
    """

    width: int
    patch_share: float = 1
    min_steps: int = 0
    deep: bool = True
    smallest_axis: int = 32
    max_batch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Family:
    """How networks of one architecture are planned.

    Attributes:
        spec: Makes a network from a topology, a width and whether it has its full depth.
        widths: Width of the full network, then those of narrower ones for little memory.
        candidates: For time budgets, the best first.
        training: Changes nnU-Net's training to what the architecture needs.
        short: The same for a short schedule.
        min_poolings: How often a patch must be large enough to be pooled.
    """

    spec: Callable[[Topology, int, bool], NetworkSpec]
    widths: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    training: Callable[[TrainingPlan], TrainingPlan]
    short: Callable[[TrainingPlan], TrainingPlan]
    min_poolings: int = 0

    @property
    def width(self) -> int:
        """Width of the full network."""
        return self.widths[0]


def short_training(training: TrainingPlan) -> TrainingPlan:
    """AdamW with one cycle and averaged weights, for schedules of minutes to hours."""
    return replace(
        training,
        optimiser="adamw",
        learning_rate=3e-3,
        weight_decay=0.01,
        momentum=0.9,
        schedule="one_cycle",
        batch_dice=True,
        foreground_fraction=0.5,
        weight_average=0.99,
    )


def _unchanged(training: TrainingPlan) -> TrainingPlan:
    return training


def _transformer_training(learning_rate: float) -> Callable[[TrainingPlan], TrainingPlan]:
    """AdamW with warm-up, strong decay and small gradients; logits of the finest level only."""

    def change(training: TrainingPlan) -> TrainingPlan:
        return replace(
            training,
            optimiser="adamw",
            learning_rate=learning_rate,
            weight_decay=0.05,
            momentum=0.9,
            schedule="warm_up_cosine",
            deep_supervision=False,
            gradient_clip=1.0,
        )

    return change


def _short_transformer_training(learning_rate: float) -> Callable[[TrainingPlan], TrainingPlan]:
    def change(training: TrainingPlan) -> TrainingPlan:
        return replace(
            short_training(training),
            learning_rate=learning_rate,
            weight_decay=0.05,
            deep_supervision=False,
            gradient_clip=1.0,
        )

    return change


def unet_spec(architecture: str) -> Callable[[Topology, int, bool], NetworkSpec]:
    """U-Nets: features double per stage up to a limit; a shallow one has one finest convolution."""

    def make(topology: Topology, width: int, deep: bool) -> NetworkSpec:
        dims, stages = len(topology.patch_size), len(topology.strides)
        residual = architecture == "residual_unet"
        finest = 2 if deep else 1
        limit = MAX_FEATURES[dims] * width // 32
        return NetworkSpec(
            architecture=architecture,
            features=tuple(min(limit, width * 2**stage) for stage in range(stages)),
            kernel_sizes=topology.kernel_sizes,
            strides=topology.strides,
            encoder_blocks=RESIDUAL_BLOCKS[:stages] if residual else (finest, *(2,) * (stages - 1)),
            decoder_blocks=(1,) * (stages - 1)
            if residual
            else (*(2,) * (stages - 2), finest)[: stages - 1],
        )

    return make


def swin_unetr_spec(topology: Topology, width: int, deep: bool) -> NetworkSpec:
    """Swin UNETR: the patch embedding is the first pooling, windows divide their grids."""
    strides = topology.strides[:SWIN_LEVELS]
    levels = len(strides)
    # Convolutions at full resolution take most of the time; a shallow network has half of them.
    finest = width if deep else width // 2
    features = (finest, *(width * 2**level for level in range(levels - 1)))
    return NetworkSpec(
        architecture="swin_unetr",
        features=features,
        kernel_sizes=topology.kernel_sizes[:levels],
        strides=strides,
        encoder_blocks=(0, *(2,) * (levels - 2), 0)[:levels],
        decoder_blocks=(1,) * (levels - 1),
        heads=(0, *(size // 16 for size in features[1:-1]), 0)[:levels],
        windows=tuple(
            tuple(_window(size, WINDOW) for size in grid)
            for grid in _grids(topology.patch_size, strides)
        ),
    )


def dformer_spec(topology: Topology, width: int, deep: bool) -> NetworkSpec:
    """D-Former: two poolings make a token, groups are long in the plane of anisotropic grids."""
    token = _join(topology.strides[1:3], len(topology.patch_size))
    strides = (token, *topology.strides[3:6])
    levels = len(strides)
    grids = _grids(topology.patch_size, strides)
    dims = len(token)
    flat = dims == 3 and 2 * token[0] <= max(token)
    limits = (8, 8) if dims == 2 else (2, 8, 8) if flat else (5, 5, 5)
    features = tuple(width * 2**level for level in range(levels))
    depths = (2, 2, 6, 2) if deep else (2, 2, 2, 2)
    return NetworkSpec(
        architecture="dformer",
        features=features,
        kernel_sizes=((3,) * dims,) * levels,
        strides=strides,
        encoder_blocks=depths[:levels],
        decoder_blocks=(),
        heads=tuple(max(1, size // 32) for size in features),
        windows=tuple(
            tuple(_window(size, limit) for size, limit in zip(grid, limits, strict=True))
            for grid in grids
        ),
    )


def primus_spec(topology: Topology, width: int, deep: bool) -> NetworkSpec:
    """Primus: three poolings make a token; depth and heads follow the width."""
    dims = len(topology.patch_size)
    token = _join(topology.strides[1:4], dims)
    depth, heads = PRIMUS_SIZES[width]
    return NetworkSpec(
        architecture="primus",
        features=(width,),
        kernel_sizes=((3,) * dims,),
        strides=(token,),
        encoder_blocks=(depth if deep else depth // 2,),
        decoder_blocks=(),
        heads=(heads,),
    )


PRIMUS_SIZES = {1056: (24, 16), 864: (16, 12), 792: (12, 12), 396: (12, 6), 192: (8, 4)}
"""Width → depth and heads; the first four are the paper's L, M, B and S."""


def _join(strides: Sequence[Sequence[int]], dims: int) -> tuple[int, ...]:
    return tuple(math.prod(stride[axis] for stride in strides) for axis in range(dims))


def _grids(
    patch_size: Sequence[int], strides: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], ...]:
    """Voxels or tokens per axis on each level."""
    grids, grid = [], tuple(patch_size)
    for stride in strides:
        grid = tuple(size // step for size, step in zip(grid, stride, strict=True))
        grids.append(grid)
    return tuple(grids)


def _window(size: int, limit: int) -> int:
    """The largest window that divides a grid; the limit where only small ones would."""
    if size <= limit:
        return size
    return next((part for part in range(limit, limit // 2, -1) if size % part == 0), limit)


_UNET_CANDIDATES = (
    Candidate(width=32, min_steps=6000),
    Candidate(width=32, deep=False, min_steps=2500),
    Candidate(width=24, deep=False, min_steps=1500),
    Candidate(width=16, deep=False, min_steps=400),
    Candidate(width=16, deep=False, patch_share=0.7, min_steps=400),
    Candidate(width=16, deep=False, patch_share=0.5, min_steps=300),
    Candidate(width=8, deep=False, patch_share=0.5, min_steps=200),
    Candidate(width=8, deep=False, patch_share=0.35, min_steps=0),
)


def _candidates(widths: Sequence[int], steps: int) -> tuple[Candidate, ...]:
    """Full patches while wide networks see enough steps, then smaller ones."""
    wide = tuple(Candidate(width=width, min_steps=4 * steps) for width in widths[:-1])
    narrow = widths[-1]
    return (
        *wide,
        Candidate(width=narrow, min_steps=2 * steps),
        Candidate(width=narrow, deep=False, min_steps=steps),
        Candidate(width=narrow, deep=False, patch_share=0.7, min_steps=steps),
        Candidate(width=narrow, deep=False, patch_share=0.5),
    )


FAMILIES: Registry[Family] = Registry(
    "family",
    {
        "plain_unet": Family(
            spec=unet_spec("plain_unet"),
            widths=UNET_WIDTHS,
            candidates=_UNET_CANDIDATES,
            training=_unchanged,
            short=short_training,
        ),
        "residual_unet": Family(
            spec=unet_spec("residual_unet"),
            widths=UNET_WIDTHS,
            # Short budgets are better spent on the plain network.
            candidates=(),
            training=_unchanged,
            short=short_training,
        ),
        "swin_unetr": Family(
            spec=swin_unetr_spec,
            widths=SWIN_WIDTHS,
            candidates=_candidates(SWIN_WIDTHS, 800),
            training=_transformer_training(1e-4),
            short=_short_transformer_training(1e-3),
            min_poolings=2,
        ),
        "dformer": Family(
            spec=dformer_spec,
            widths=DFORMER_WIDTHS,
            candidates=_candidates(DFORMER_WIDTHS, 800),
            training=_transformer_training(3e-4),
            short=_short_transformer_training(1e-3),
        ),
        "primus": Family(
            spec=primus_spec,
            widths=PRIMUS_WIDTHS,
            candidates=_candidates(PRIMUS_WIDTHS, 1000),
            training=_transformer_training(3e-4),
            short=_short_transformer_training(1e-3),
            min_poolings=1,
        ),
    },
    plural="families",
)


def find_family(architecture: str) -> Family:
    """The family of an architecture; one of a plug-in is planned like a plain U-Net.

    Raises:
        UnknownNameError: There is no such architecture.
    """
    if architecture in FAMILIES:
        return FAMILIES[architecture]
    from autoseg.architectures import ARCHITECTURES

    if architecture not in ARCHITECTURES:
        raise UnknownNameError("architecture", architecture, ARCHITECTURES)
    return replace(FAMILIES["plain_unet"], spec=unet_spec(architecture))
