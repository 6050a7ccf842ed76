"""nnU-Net's planning rules, number by number (versions 2.3 to 2.8)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from autoseg.errors import InputError
from autoseg.planning.budget import Budget
from autoseg.planning.measures import measures_of, target_spacing, transposition
from autoseg.planning.planners.drafts import Drafter, Grid, make_grid
from autoseg.planning.planners.lowres import drop_cascade, plan_cascade, plan_lowres
from autoseg.planning.planners.orientation import stored_orientations
from autoseg.planning.planners.presets import GIGABYTE, find_preset
from autoseg.planning.planners.request import Request, wanted_configurations
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration, Decision, Plan

logger = logging.getLogger(__name__)

USUAL = ("2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres")


def plan_nnunet(
    dataset: Dataset, fingerprint: Fingerprint, budget: Budget, request: Request
) -> Plan:
    """Plans as nnU-Net does; memory and time change no network.

    Raises:
        InputError: A configuration that was asked for does not fit the data.
        UnknownNameError: A configuration or network is unknown.
    """
    decisions: list[Decision] = []
    drafter, grid = _prepare(dataset, fingerprint, budget, request, decisions)
    wanted = wanted_configurations(
        drafter.measures, request, decisions, usual=USUAL, everything=USUAL
    )
    names = _names([item.name for item in wanted])
    made = _plan(drafter, grid, names, decisions)
    made = {name: _fitted(made[name], budget, request, decisions) for name in names if name in made}
    return Plan(
        dataset=dataset.name,
        planner="nnunet",
        file_ending=dataset.file_ending,
        configurations=made,
        decisions=tuple(decisions),
    )


def _prepare(
    dataset: Dataset,
    fingerprint: Fingerprint,
    budget: Budget,
    request: Request,
    decisions: list[Decision],
) -> tuple[Drafter, Grid]:
    """What all configurations have in common, and the cases at the target spacing."""
    network = request.network or "plain"
    preset = find_preset(network)
    stored = stored_orientations(fingerprint)
    orientation = stored[0] if len(stored) == 1 else None  # nnU-Net learns from others as they are
    measures = measures_of(dataset, fingerprint, orientation)
    spacing, spacing_reason = target_spacing(measures)
    transpose = transposition(spacing)
    for topic, value, reason in (
        ("network", network, "preset of the planner"),
        ("target spacing", _text(spacing), spacing_reason),
        ("transposition", str(transpose), "the axis with the largest spacing comes first"),
        ("augmentation", "nnunet", "nnU-Net's transforms and probabilities, by batchgenerators"),
    ):
        decisions.append(Decision(topic=topic, value=value, reason=reason))
    drafter = Drafter(
        dataset=dataset,
        measures=measures,
        request=request,
        preset=preset,
        transpose=transpose,
        orientation=orientation,
        device=budget.device,
    )
    return drafter, make_grid(measures, spacing, transpose)


def _names(wanted: Sequence[str]) -> list[str]:
    """What is planned, with the first stage that a cascade needs.

    Raises:
        InputError: nnU-Net does not have a configuration.
    """
    for name in wanted:
        if name not in USUAL:
            raise InputError(
                f"The planner nnunet knows {', '.join(USUAL)}, not {name}. "
                "Use --planner auto for it."
            )
    names = list(wanted)
    if "3d_cascade_fullres" in names and "3d_lowres" not in names:
        names.insert(0, "3d_lowres")
    return names


def _plan(
    drafter: Drafter, grid: Grid, names: Sequence[str], decisions: list[Decision]
) -> dict[str, Configuration]:
    """The configurations by name, and some that they depend on."""
    preset = drafter.preset
    made: dict[str, Configuration] = {}
    if "2d" in names:
        made["2d"] = drafter.draft("2d", grid, preset.reference[2], slice_axis=0)
    if list(names) != ["2d"]:
        fullres = drafter.draft("3d_fullres", grid, preset.reference[3])
        lowres, reason = plan_lowres(
            fullres, grid, lambda at: drafter.draft("3d_lowres", at, preset.reference[3])
        )
        if lowres is not None:
            # A case that exceeds the patch is seen in parts: Dice over the batch is steadier.
            training = replace(fullres.training, batch_dice=True)
            fullres = replace(fullres, training=training)
            made["3d_lowres"] = lowres
            made["3d_cascade_fullres"] = plan_cascade(fullres, "3d_cascade_fullres", "3d_lowres")
        else:
            decisions += drop_cascade(names, drafter.request, reason)
        made["3d_fullres"] = fullres
    for name, configuration in made.items():
        decisions.append(
            Decision(
                configuration=name,
                topic="patch, batch",
                value=f"{configuration.patch_size}, {configuration.batch_size}",
                reason=f"fits {preset.reference_gb:g} GB by nnU-Net's estimate",
            )
        )
    return made


def _fitted(
    configuration: Configuration, budget: Budget, request: Request, decisions: list[Decision]
) -> Configuration:
    """The configuration with the time that was asked for; memory that it exceeds is said."""
    configuration = _augmented(configuration)
    if budget.time_s is not None:
        training = replace(configuration.training, time_budget_s=budget.time_s)
        configuration = replace(configuration, training=training)
        decisions.append(
            Decision(
                configuration=configuration.name,
                topic="schedule",
                value=f"{budget.time_s:.0f} s",
                reason="the clock ends the training; nnU-Net's network and optimiser stay, which "
                "a short time does not suit as well as --planner auto",
            )
        )
    if not request.memory or budget.costs is None:
        return configuration
    needed = budget.costs.memory_bytes(configuration)
    configuration = replace(configuration, memory_bytes=needed)
    if needed > budget.memory_bytes:
        value, there = (f"{size / GIGABYTE:.3g} GB" for size in (needed, budget.memory_bytes))
        reason = f"more than --memory {there}: this planner keeps nnU-Net's numbers"
        logger.warning(
            "%s: takes %s, %s. --planner auto keeps it.", configuration.name, value, reason
        )
        decisions.append(
            Decision(configuration=configuration.name, topic="memory", value=value, reason=reason)
        )
    return configuration


def _augmented(configuration: Configuration) -> Configuration:
    """The configuration with nnU-Net's own augmentation."""
    training = replace(configuration.training, augmentation="nnunet")
    return replace(configuration, training=training)


def _text(values: Sequence[float]) -> str:
    return " × ".join(f"{value:.4g}" for value in values) + " mm"
