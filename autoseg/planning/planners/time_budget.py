"""Fits a configuration to a time budget by measuring candidate networks on the device.

What a short training gains most from is the number of steps. Convolutions at full resolution
cost most of a step's time and hold few parameters, so the candidates first lose the second
convolution of the finest level, then width, then resolution: the image is coarsened, so that a
patch sees as much of the anatomy as before. Where the objects are too small for that, the patch
becomes smaller instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from autoseg.errors import UsageError
from autoseg.planning.budget import Budget
from autoseg.planning.families import Candidate, Family, find_family
from autoseg.planning.network_size import training_memory_bytes, work
from autoseg.planning.topology import make_topology
from autoseg.schema.plan import Configuration, Decision

USABLE = 0.92
"""Share of a time budget that is spent in training steps; validation and saving take the rest."""
LONG_SCHEDULE = 20_000
"""Steps from which nnU-Net's own network and optimiser are kept."""
SMALLEST_AXIS = 32
MIN_OBJECT_VOXELS = 12
"""Diameter that objects must keep when an image is coarsened."""
VOXELS_PER_BATCH = 2**17
MIN_BATCH_2D, MAX_BATCH_2D = 4, 24
EPOCHS = (10, 100)
STEPS_PER_EPOCH = 40


def fit_to_time(
    configuration: Configuration, budget: Budget, *, coarsen: bool = True
) -> tuple[Configuration, list[Decision]]:
    """Chooses network, patch, batch and number of steps for a time budget.

    Args:
        configuration: Planned by memory; its patch is the largest that is considered.
        budget: With `time_s` and `step_s`.
        coarsen: Whether the resolution may be lowered.

    Returns:
        The configuration for the budget, and the reasons.
    """
    if budget.time_s is None or budget.step_s is None:
        raise UsageError("Fitting to time needs a time budget and a stopwatch.")
    family = _short_family(configuration)
    measured: list[str] = []

    def steps_of(configuration: Configuration) -> tuple[int, float]:
        assert budget.step_s is not None
        assert budget.time_s is not None
        seconds = budget.step_s(configuration)
        steps = int(USABLE * budget.time_s / seconds)
        measured.append(
            f"{configuration.network.architecture} {configuration.network.features[0]}–{configuration.network.features[-1]}, "
            f"patch {'×'.join(map(str, configuration.patch_size))}, batch {configuration.batch_size}: "
            f"{seconds:.3g} s per step"
        )
        return steps, seconds

    def apply(candidate: Candidate) -> Configuration:
        return _apply(configuration, candidate, family, coarsen=coarsen)

    smallest = apply(family.candidates[-1])
    _, seconds = steps_of(smallest)
    per_unit = seconds / work_of(smallest)
    planned_s = per_unit * work_of(configuration)
    if USABLE * budget.time_s / planned_s > 0.6 * LONG_SCHEDULE:
        steps, _ = steps_of(configuration)
        if steps >= LONG_SCHEDULE:
            return _long(configuration, budget.time_s, steps, measured)
    chosen, steps = smallest, int(USABLE * budget.time_s / seconds)
    for candidate in family.candidates:
        trial = apply(candidate)
        guess = USABLE * budget.time_s / (per_unit * work_of(trial))
        too_large = trial.memory_bytes > budget.memory_bytes and candidate.min_steps > 0
        if too_large or guess < 0.6 * candidate.min_steps:
            continue
        if trial == smallest:
            break
        trial_steps, _ = steps_of(trial)
        if trial_steps >= candidate.min_steps:
            chosen, steps = trial, trial_steps
            break
    training = set_schedule(chosen, budget.time_s, steps).training
    name = configuration.name
    spacing = " × ".join("case" if step is None else f"{step:.3g}" for step in chosen.spacing_mm)
    coarsened = " coarsened," if chosen.spacing_mm != configuration.spacing_mm else ""
    decisions = [
        Decision(
            topic=f"{name}: network for the time",
            value=f"{chosen.network.architecture} with {chosen.network.features[0]} to "
            f"{chosen.network.features[-1]} features, patch "
            f"{'×'.join(map(str, chosen.patch_size))} at {spacing} mm, batch {chosen.batch_size}",
            reason=f"the widest that sees enough steps,{coarsened} measured on {budget.device}: "
            + "; ".join(measured),
        ),
        Decision(
            topic=f"{name}: schedule",
            value=f"about {steps} steps in {budget.time_s:.0f} s, AdamW, one cycle",
            reason="a short schedule needs a fast optimiser; the clock ends the training",
        ),
    ]
    return replace(chosen, training=training), decisions


def set_schedule(configuration: Configuration, time_s: float, steps: int) -> Configuration:
    """The configuration with epochs for a number of steps that the clock ends."""
    epochs = min(max(steps // STEPS_PER_EPOCH, EPOCHS[0]), EPOCHS[1])
    training = replace(
        configuration.training,
        time_budget_s=time_s,
        epochs=epochs,
        steps_per_epoch=max(1, steps // epochs),
    )
    return replace(configuration, training=training)


def estimate_step_s(
    configuration: Configuration, step_s: Callable[[Configuration], float]
) -> float:
    """Seconds of a training step, from a measured one of a small network of the same kind.

    A rough figure (wide networks compute more per value that they store), for people to read.
    """
    family = _short_family(configuration)
    small = _apply(configuration, family.candidates[-1], family, coarsen=True)
    return step_s(small) * work_of(configuration) / work_of(small)


def _short_family(configuration: Configuration) -> Family:
    """What a short training uses: plain networks where a family has no candidates."""
    family = find_family(configuration.network.architecture)
    return family if family.candidates else find_family("plain_unet")


def _long(
    configuration: Configuration, time_s: float, steps: int, measured: Sequence[str]
) -> tuple[Configuration, list[Decision]]:
    """Keeps nnU-Net's network and optimiser: the budget is long enough for them."""
    training = replace(
        configuration.training,
        time_budget_s=time_s,
        epochs=max(1, steps // configuration.training.steps_per_epoch),
    )
    decision = Decision(
        topic=f"{configuration.name}: schedule",
        value=f"about {steps} steps in {time_s:.0f} s with nnU-Net's network and optimiser",
        reason=f"at least {LONG_SCHEDULE} steps fit; measured: {'; '.join(measured)}",
    )
    return replace(configuration, training=training), [decision]


def work_of(configuration: Configuration) -> float:
    """A measure of the work of a training step."""
    outputs = configuration.labels.num_outputs
    amount = work(configuration.network, configuration.patch_size, outputs)
    return amount * configuration.batch_size


def _apply(
    configuration: Configuration, candidate: Candidate, family: Family, *, coarsen: bool
) -> Configuration:
    """The configuration with a candidate's network, resolution, patch and batch."""
    dims, axes = configuration.dimensions, configuration.patch_axes
    shares = [
        candidate.patch_share
        if size > SMALLEST_AXIS and size * candidate.patch_share >= SMALLEST_AXIS
        else min(1.0, SMALLEST_AXIS / size)
        for size in configuration.patch_size
    ]
    patch = [size * share for size, share in zip(configuration.patch_size, shares, strict=True)]
    spacing = [configuration.spacing_mm[axis] or 1.0 for axis in axes]
    if coarsen and _may_coarsen(configuration, shares):
        spacing = [step / share for step, share in zip(spacing, shares, strict=True)]
        target = list(configuration.spacing_mm)
        for axis, step in zip(axes, spacing, strict=True):
            target[axis] = step
        configuration = replace(
            configuration,
            spacing_mm=tuple(target),
            median_shape=tuple(
                size * share for size, share in zip(configuration.median_shape, shares, strict=True)
            ),
        )
    topology = make_topology(spacing, patch)
    voxels = math.prod(topology.patch_size)
    if dims == 2:
        filling = min(max(MIN_BATCH_2D, VOXELS_PER_BATCH // voxels), MAX_BATCH_2D)
        batch_size = min(configuration.batch_size, filling)
    else:
        batch_size = 2
    changed = replace(
        configuration,
        patch_size=topology.patch_size,
        batch_size=batch_size,
        network=family.spec(topology, candidate.width, candidate.deep),
        training=family.short(configuration.training),
    )
    return replace(changed, memory_bytes=training_memory_bytes(changed))


def _may_coarsen(configuration: Configuration, shares: Sequence[float]) -> bool:
    """Whether the smallest objects stay large enough at a coarser spacing."""
    if min(shares) == 1 or configuration.object_mm is None:
        return False
    spacing = [configuration.spacing_mm[axis] for axis in configuration.patch_axes]
    coarsened = [
        step / share for step, share in zip(spacing, shares, strict=True) if step and share < 1
    ]
    return configuration.object_mm >= MIN_OBJECT_VOXELS * max(coarsened)
