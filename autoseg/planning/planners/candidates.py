"""Smaller networks, patches and batches in place of those that nnU-Net's rules give."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from autoseg.planning.families import Candidate, Family
from autoseg.planning.network_size import training_memory_bytes
from autoseg.planning.topology import make_topology
from autoseg.schema.plan import Configuration

MIN_OBJECT_VOXELS = 12
"""Diameter that objects must keep when an image is coarsened."""
VOXELS_PER_BATCH = 2**17
MIN_BATCH_2D, MAX_BATCH_2D = 4, 24
BATCH_3D = 2
SMALLER_SHARES = (0.7, 0.5, 0.35, 0.25)
SMALLEST_AXIS = 16
"""Patches for little memory: shares of the planned axes, and voxels that all of them keep."""


def apply_candidate(
    configuration: Configuration, candidate: Candidate, family: Family, *, coarsen: bool
) -> Configuration:
    """The configuration with a candidate's network, resolution, patch and batch.

    Args:
        configuration: Its patch and batch are the largest that are taken.
        candidate: How much smaller it becomes.
        family: Makes the network.
        coarsen: Whether the resolution may be lowered, so that a patch sees as much as before.
    """
    shares = _shares(configuration.patch_size, candidate)
    spacing = [configuration.spacing_mm[axis] or 1.0 for axis in configuration.patch_axes]
    if coarsen and _may_coarsen(configuration, shares):
        configuration = _coarsened(configuration, shares)
        spacing = [step / share for step, share in zip(spacing, shares, strict=True)]
    patch = [size * share for size, share in zip(configuration.patch_size, shares, strict=True)]
    topology = make_topology(spacing, patch)
    changed = replace(
        configuration,
        patch_size=topology.patch_size,
        batch_size=_batch_size(configuration, topology.patch_size, candidate),
        network=family.spec(topology, candidate.width, candidate.deep),
    )
    return replace(changed, memory_bytes=training_memory_bytes(changed))


def smaller_patches(candidate: Candidate) -> Iterator[Candidate]:
    """The candidate with one ever smaller patch at a time, for when nothing else fits."""
    for share in SMALLER_SHARES:
        yield replace(candidate, patch_share=share, smallest_axis=SMALLEST_AXIS, max_batch=1)


def _shares(patch_size: Sequence[int], candidate: Candidate) -> list[float]:
    """Share of each axis of the patch that stays."""
    smallest = candidate.smallest_axis
    return [
        candidate.patch_share
        if size > smallest and size * candidate.patch_share >= smallest
        else min(1.0, smallest / size)
        for size in patch_size
    ]


def _batch_size(
    configuration: Configuration, patch_size: Sequence[int], candidate: Candidate
) -> int:
    """As many patches as fill a batch, no more than were planned."""
    filling = BATCH_3D
    if configuration.dimensions == 2:
        voxels = math.prod(patch_size)
        filling = min(max(MIN_BATCH_2D, VOXELS_PER_BATCH // voxels), MAX_BATCH_2D)
    return min(configuration.batch_size, filling, candidate.max_batch or filling)


def _coarsened(configuration: Configuration, shares: Sequence[float]) -> Configuration:
    """The configuration at a coarser spacing along the patch's axes."""
    target = list(configuration.spacing_mm)
    for axis, share in zip(configuration.patch_axes, shares, strict=True):
        step = target[axis]
        target[axis] = None if step is None else step / share
    return replace(
        configuration,
        spacing_mm=tuple(target),
        median_shape=tuple(
            size * share for size, share in zip(configuration.median_shape, shares, strict=True)
        ),
    )


def _may_coarsen(configuration: Configuration, shares: Sequence[float]) -> bool:
    """Whether the smallest objects stay large enough at a coarser spacing."""
    if min(shares) == 1 or configuration.object_mm is None:
        return False
    spacing = [configuration.spacing_mm[axis] for axis in configuration.patch_axes]
    coarsened = [
        step / share for step, share in zip(spacing, shares, strict=True) if step and share < 1
    ]
    return configuration.object_mm >= MIN_OBJECT_VOXELS * max(coarsened)
