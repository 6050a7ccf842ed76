"""nnU-Net's planning rules, number by number (versions 2.3 to 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoseg.errors import InputError
from autoseg.planning.budget import Budget
from autoseg.planning.measures import measures_of, target_spacing, transposition
from autoseg.planning.planners.drafts import Drafter, make_grid
from autoseg.planning.planners.lowres import plan_cascade, plan_lowres
from autoseg.planning.planners.orientation import stored_orientations
from autoseg.planning.planners.presets import find_preset
from autoseg.planning.planners.request import DROPPED, Request, wanted_configurations
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration, Decision, Plan

USUAL = ("2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres")
CASCADE = ("3d_lowres", "3d_cascade_fullres")


def plan_nnunet(
    dataset: Dataset, fingerprint: Fingerprint, budget: Budget, request: Request
) -> Plan:
    """Plans as nnU-Net does; the budget's memory changes nothing.

    Raises:
        InputError: A configuration that was asked for does not fit the data.
        UnknownNameError: A configuration or network is unknown.
    """
    network = request.network or "plain"
    preset = find_preset(network)
    stored = stored_orientations(fingerprint)
    orientation = stored[0] if len(stored) == 1 else None  # nnU-Net learns from others as they are
    measures = measures_of(dataset, fingerprint, orientation)
    spacing, spacing_reason = target_spacing(measures)
    transpose = transposition(spacing)
    decisions = [
        Decision(topic="network", value=network, reason="preset of the planner"),
        Decision(topic="target spacing", value=_text(spacing), reason=spacing_reason),
        Decision(
            topic="transposition",
            value=str(transpose),
            reason="the axis with the largest spacing comes first",
        ),
    ]
    drafter = Drafter(
        dataset=dataset,
        measures=measures,
        request=request,
        preset=preset,
        transpose=transpose,
        orientation=orientation,
    )
    grid = make_grid(measures, spacing, transpose)
    wanted = wanted_configurations(measures, request, decisions, usual=USUAL, everything=USUAL)
    names = [item.name for item in wanted]
    if "3d_cascade_fullres" in names and "3d_lowres" not in names:
        names.insert(0, "3d_lowres")
    for item in wanted:
        if item.name not in USUAL:
            raise InputError(
                f"The planner nnunet knows {', '.join(USUAL)}, not {item.name}. "
                "Use --planner auto for it."
            )
    made: dict[str, Configuration] = {}
    if "2d" in names:
        made["2d"] = drafter.draft("2d", grid, preset.reference[2], slice_axis=0)
    if names != ["2d"]:
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
            decisions += drop_cascade(names, request, reason)
        made["3d_fullres"] = fullres
    for name, configuration in made.items():
        decisions.append(
            Decision(
                topic=f"{name}: patch, batch",
                value=f"{configuration.patch_size}, {configuration.batch_size}",
                reason=f"fits {preset.reference_gb:g} GB by nnU-Net's estimate",
            )
        )
    return Plan(
        dataset=dataset.name,
        planner="nnunet",
        file_ending=dataset.file_ending,
        configurations={name: made[name] for name in names if name in made},
        decisions=tuple(decisions),
    )


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
    return [Decision(topic=name, value=DROPPED, reason=reason) for name in CASCADE if name in names]


def _text(values: Sequence[float]) -> str:
    return " × ".join(f"{value:.4g}" for value in values) + " mm"
