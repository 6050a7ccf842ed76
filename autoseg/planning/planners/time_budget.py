"""Fits a configuration to a time budget by measuring candidate networks on the device.

What a short training gains most from is the number of steps. Convolutions at full resolution
cost most of a step's time and hold few parameters, so the candidates first lose the second
convolution of the finest level, then width, then resolution: the image is coarsened, so that a
patch sees as much of the anatomy as before. Where the objects are too small for that, the patch
becomes smaller instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from autoseg.errors import UsageError
from autoseg.planning.budget import Budget, Costs
from autoseg.planning.families import Candidate, find_family
from autoseg.planning.network_size import work_of
from autoseg.planning.planners.candidates import apply_candidate, smaller_patches
from autoseg.schema.plan import Configuration, Decision

USABLE = 0.92
"""Share of a time budget that is spent in training steps; validation and saving take the rest."""
LONG_SCHEDULE = 20_000
"""Steps from which nnU-Net's own network and optimiser are kept."""
PROMISING = 0.6
"""Share of its steps that a candidate must reach by its work to be measured."""
EPOCHS = (10, 100)
STEPS_PER_EPOCH = 40

Keeps = Callable[[Configuration], bool]
"""Whether a configuration keeps the memory."""


@dataclass(frozen=True, kw_only=True)
class _Stopwatch:
    """Counts the steps that fit a time budget, and remembers what was measured."""

    time_s: float
    costs: Costs
    measured: list[str] = field(default_factory=list)

    def steps(self, configuration: Configuration) -> float:
        """Steps that fit, measured."""
        seconds = self.costs.step_s(configuration)
        network = configuration.network
        patch = "×".join(map(str, configuration.patch_size))
        self.measured.append(
            f"{network.architecture} {network.features[0]}–{network.features[-1]}, patch {patch}, "
            f"batch {configuration.batch_size}: {seconds:.3g} s per step"
        )
        return USABLE * self.time_s / seconds


def fit_to_time(
    configuration: Configuration,
    budget: Budget,
    *,
    coarsen: bool = True,
    keeps: Keeps = lambda _: True,
) -> tuple[Configuration, list[Decision]]:
    """Chooses network, patch, batch and number of steps for a time budget.

    Args:
        configuration: Planned by memory; its patch is the largest that is considered.
        budget: With `time_s` and `costs`.
        coarsen: Whether the resolution may be lowered.
        keeps: Whether a candidate keeps the memory.

    Returns:
        The configuration for the budget, and the reasons.
    """
    if budget.time_s is None or budget.costs is None:
        raise UsageError("Fitting to time needs a time budget and a stopwatch.")
    watch = _Stopwatch(time_s=budget.time_s, costs=budget.costs)
    candidates = _Candidates(configuration, coarsen=coarsen)
    chosen = smallest = candidates.smallest(keeps)
    steps = watch.steps(smallest)
    unit = steps * work_of(smallest)  # steps of a network that does one unit of work
    if unit / work_of(configuration) > PROMISING * LONG_SCHEDULE:
        many = watch.steps(configuration)
        if many >= LONG_SCHEDULE:
            return _long(configuration, int(many), watch)
    for candidate in candidates.family.candidates:
        trial = candidates.apply(candidate)
        if unit / work_of(trial) < PROMISING * candidate.min_steps:
            continue
        if trial == smallest:
            break
        if keeps(trial) and (found := watch.steps(trial)) >= candidate.min_steps:
            chosen, steps = trial, found
            break
    return _short(configuration, chosen, int(steps), watch, budget.device)


def _short(
    before: Configuration,
    chosen: Configuration,
    steps: int,
    watch: _Stopwatch,
    device: str,
) -> tuple[Configuration, list[Decision]]:
    """A candidate with its schedule, and why it was chosen."""
    name, network = before.name, chosen.network
    spacing = " × ".join("case" if step is None else f"{step:.3g}" for step in chosen.spacing_mm)
    coarsened = " coarsened," if chosen.spacing_mm != before.spacing_mm else ""
    decisions = [
        Decision(
            configuration=name,
            topic="network for the time",
            value=f"{network.architecture} with {network.features[0]} to "
            f"{network.features[-1]} features, patch "
            f"{'×'.join(map(str, chosen.patch_size))} at {spacing} mm, batch {chosen.batch_size}",
            reason=f"the widest that sees enough steps,{coarsened} measured on {device}: "
            + "; ".join(watch.measured),
        ),
        Decision(
            configuration=name,
            topic="schedule",
            value=f"about {steps} steps in {watch.time_s:.0f} s, AdamW, one cycle",
            reason="a short schedule needs a fast optimiser; the clock ends the training",
        ),
    ]
    return set_schedule(chosen, watch.time_s, steps), decisions


def _long(
    configuration: Configuration, steps: int, watch: _Stopwatch
) -> tuple[Configuration, list[Decision]]:
    """Keeps nnU-Net's network and optimiser: the budget is long enough for them."""
    training = replace(
        configuration.training,
        time_budget_s=watch.time_s,
        epochs=max(1, steps // configuration.training.steps_per_epoch),
    )
    decision = Decision(
        configuration=configuration.name,
        topic="schedule",
        value=f"about {steps} steps in {watch.time_s:.0f} s with nnU-Net's network and optimiser",
        reason=f"at least {LONG_SCHEDULE} steps fit; measured: {'; '.join(watch.measured)}",
    )
    return replace(configuration, training=training), [decision]


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
    candidates = _Candidates(configuration, coarsen=True)
    small = candidates.apply(candidates.family.candidates[-1])
    return step_s(small) * work_of(configuration) / work_of(small)


class _Candidates:
    """Networks for a short training in place of a configuration's own.

    Args:
        configuration: Planned by memory.
        coarsen: Whether the resolution may be lowered.
    """

    def __init__(self, configuration: Configuration, *, coarsen: bool) -> None:
        self._configuration = configuration
        self._coarsen = coarsen
        family = find_family(configuration.network.architecture)
        # Plain networks where a family has no candidates: they are faster.
        self.family = family if family.candidates else find_family("plain_unet")

    def smallest(self, keeps: Keeps) -> Configuration:
        """The last candidate, or one with a smaller patch where it exceeds the memory."""
        last = self.family.candidates[-1]
        found = self.apply(last)
        for candidate in smaller_patches(last):
            if keeps(found):
                break
            found = self.apply(candidate)
        return found

    def apply(self, candidate: Candidate) -> Configuration:
        """The configuration with a candidate's network, resolution, patch, batch and training."""
        configuration = replace(
            self._configuration, training=self.family.short(self._configuration.training)
        )
        return apply_candidate(configuration, candidate, self.family, coarsen=self._coarsen)
