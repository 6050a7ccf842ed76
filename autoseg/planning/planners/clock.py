"""Fits a configuration to a time budget by measuring candidate networks on the device.

What a short training gains most from is the number of steps. Convolutions at full resolution
cost most of a step's time and hold few parameters, so the candidates first lose the second
convolution of the finest level, then width, then resolution: the image is coarsened, so that a
patch sees as much of the anatomy as before. Where the objects are too small for that, the patch
becomes smaller instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoseg.errors import UsageError
from autoseg.planning.budget import Budget
from autoseg.planning.memory import feature_map_elements, training_memory_bytes
from autoseg.planning.topology import Topology, make_topology
from autoseg.schema.plan import Configuration, Decision, NetworkSpec, TrainingPlan

USABLE = 0.92
"""Share of a time budget that is spent in training steps; validation and saving take the rest."""
LONG_SCHEDULE = 20_000
"""Steps from which nnU-Net's own network and optimiser are kept."""
SMALLEST_AXIS = 32
MIN_OBJECT_VOXELS = 12
"""Diameter that objects must keep when an image is coarsened."""
MAX_FEATURES = {2: 512, 3: 320}
VOXELS_PER_BATCH = 2**17
MIN_BATCH_2D = 4
EPOCHS = (10, 100)
STEPS_PER_EPOCH = 40


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network that may fit.

    Attributes:
        width: Features of the finest level.
        deep_finest: Two convolutions at the finest level instead of one.
        patch_share: Voxels of the patch's axes relative to the planned ones.
        min_steps: Steps that it must see to be worth its cost.
    """

    width: int
    deep_finest: bool
    patch_share: float
    min_steps: int


CANDIDATES = (
    Candidate(width=32, deep_finest=True, patch_share=1, min_steps=6000),
    Candidate(width=32, deep_finest=False, patch_share=1, min_steps=2500),
    Candidate(width=24, deep_finest=False, patch_share=1, min_steps=1500),
    Candidate(width=16, deep_finest=False, patch_share=1, min_steps=400),
    Candidate(width=16, deep_finest=False, patch_share=0.7, min_steps=400),
    Candidate(width=16, deep_finest=False, patch_share=0.5, min_steps=300),
    Candidate(width=8, deep_finest=False, patch_share=0.5, min_steps=200),
    Candidate(width=8, deep_finest=False, patch_share=0.35, min_steps=0),
)


def fit_to_time(
    configuration: Configuration, budget: Budget
) -> tuple[Configuration, list[Decision]]:
    """Chooses network, patch, batch and number of steps for a time budget.

    Args:
        configuration: Planned by memory; its patch is the largest that is considered.
        budget: With `time_s` and `step_s`.

    Returns:
        The configuration for the budget, and the reasons.
    """
    if budget.time_s is None or budget.step_s is None:
        raise UsageError("Fitting to time needs a time budget and a stopwatch.")
    measured: list[str] = []

    def steps_of(item: Configuration) -> tuple[int, float]:
        assert budget.step_s is not None
        assert budget.time_s is not None
        seconds = budget.step_s(item)
        steps = int(USABLE * budget.time_s / seconds)
        measured.append(
            f"{item.network.architecture} {item.network.features[0]}–{item.network.features[-1]}, "
            f"patch {'×'.join(map(str, item.patch_size))}, batch {item.batch_size}: "
            f"{seconds:.3g} s per step"
        )
        return steps, seconds

    smallest = _apply(configuration, CANDIDATES[-1])
    _, seconds = steps_of(smallest)
    per_element = seconds / _cost(smallest)
    planned_s = per_element * _cost(configuration)
    if USABLE * budget.time_s / planned_s > 0.6 * LONG_SCHEDULE:
        steps, _ = steps_of(configuration)
        if steps >= LONG_SCHEDULE:
            return _long(configuration, budget.time_s, steps, measured)
    chosen, steps = smallest, int(USABLE * budget.time_s / seconds)
    for candidate in CANDIDATES:
        trial = _apply(configuration, candidate)
        guess = USABLE * budget.time_s / (per_element * _cost(trial))
        too_large = trial.memory_bytes > budget.memory_bytes and candidate.min_steps > 0
        if too_large or guess < 0.6 * candidate.min_steps:
            continue
        if trial == smallest:
            break
        trial_steps, _ = steps_of(trial)
        if trial_steps >= candidate.min_steps:
            chosen, steps = trial, trial_steps
            break
    epochs = min(max(steps // STEPS_PER_EPOCH, EPOCHS[0]), EPOCHS[1])
    steps_per_epoch = max(1, steps // epochs)
    training = replace(
        chosen.training,
        time_budget_s=budget.time_s,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
    )
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


def _cost(configuration: Configuration) -> float:
    outputs = configuration.labels.num_outputs
    elements = feature_map_elements(configuration.network, configuration.patch_size, outputs)
    return float(elements * configuration.batch_size)


def _apply(configuration: Configuration, candidate: Candidate) -> Configuration:
    """The configuration with a candidate's network, resolution, patch and batch."""
    dims = configuration.dimensions
    shares = [
        candidate.patch_share
        if size > SMALLEST_AXIS and size * candidate.patch_share >= SMALLEST_AXIS
        else min(1.0, SMALLEST_AXIS / size)
        for size in configuration.patch_size
    ]
    patch = [size * share for size, share in zip(configuration.patch_size, shares, strict=True)]
    spacing = [step or 1.0 for step in configuration.spacing_mm[-dims:]]
    if _may_coarsen(configuration, shares):
        spacing = [step / share for step, share in zip(spacing, shares, strict=True)]
        configuration = replace(
            configuration,
            spacing_mm=(*configuration.spacing_mm[:-dims], *spacing),
            median_shape=tuple(
                size * share for size, share in zip(configuration.median_shape, shares, strict=True)
            ),
        )
    topology = make_topology(spacing, patch)
    network = _network(topology, candidate)
    voxels = math.prod(topology.patch_size)
    if dims == 2:
        batch_size = min(configuration.batch_size, max(MIN_BATCH_2D, VOXELS_PER_BATCH // voxels))
    else:
        batch_size = 2
    return replace(
        configuration,
        patch_size=topology.patch_size,
        batch_size=batch_size,
        network=network,
        training=short_training(configuration.training),
        memory_bytes=training_memory_bytes(
            network,
            topology.patch_size,
            batch_size,
            len(configuration.channels),
            configuration.labels.num_outputs,
        ),
    )


def _may_coarsen(configuration: Configuration, shares: Sequence[float]) -> bool:
    """Whether the smallest objects stay large enough at a coarser spacing."""
    if min(shares) == 1 or configuration.object_mm is None:
        return False
    spacing = configuration.spacing_mm[-configuration.dimensions :]
    coarsened = [
        step / share for step, share in zip(spacing, shares, strict=True) if step and share < 1
    ]
    return configuration.object_mm >= MIN_OBJECT_VOXELS * max(coarsened)


def _network(topology: Topology, candidate: Candidate) -> NetworkSpec:
    stages = len(topology.strides)
    finest = 2 if candidate.deep_finest else 1
    limit = MAX_FEATURES[len(topology.patch_size)] * candidate.width // 32
    return NetworkSpec(
        architecture="plain_unet",
        features=tuple(min(limit, candidate.width * 2**stage) for stage in range(stages)),
        kernel_sizes=topology.kernel_sizes,
        strides=topology.strides,
        encoder_blocks=(finest, *(2,) * (stages - 1)),
        decoder_blocks=(*(2,) * (stages - 2), finest)[: stages - 1],
    )


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
