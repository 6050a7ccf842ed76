"""Our planner: nnU-Net's rules, fitted to the memory and the time that are there."""

from __future__ import annotations

from dataclasses import replace

from autoseg.errors import UnknownNameError
from autoseg.planning.budget import Budget
from autoseg.planning.planners.clock import fit_to_time
from autoseg.planning.planners.nnunet import (
    GIGABYTE,
    PRESETS,
    assemble,
    nnunet_training,
    plan_sizes,
    target_spacing,
    transposition,
    wanted_configurations,
)
from autoseg.planning.planners.request import Request, measures_of
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Decision, Plan

CONSISTENT = 0.95
"""Share of cases in which two labels must have the same order for an axis not to be mirrored."""
LARGE_GPU_GB, MEDIUM_GPU_GB = 22, 8


def plan_auto(dataset: Dataset, fingerprint: Fingerprint, budget: Budget, request: Request) -> Plan:
    """Plans for a budget.

    Raises:
        InputError: A configuration that was asked for does not fit the data.
        UnknownNameError: A configuration or network is unknown.
    """
    if request.network is not None and request.network not in PRESETS:
        raise UnknownNameError("network", request.network, PRESETS)
    orientations = {record.orientation for record in fingerprint.cases.values()}
    canonical = len(orientations) > 1
    measures = measures_of(dataset, fingerprint, canonical=canonical)
    spacing, spacing_reason = target_spacing(measures)
    transpose = transposition(spacing)
    decisions = [
        _orientation(orientations),
        Decision(
            topic="target spacing",
            value=" × ".join(f"{value:.4g}" for value in spacing) + " mm",
            reason=spacing_reason,
        ),
        Decision(
            topic="axis order",
            value=str(transpose),
            reason="the axis with the largest spacing comes first",
        ),
    ]
    layout = fingerprint.layout_lps if canonical else fingerprint.layout
    mirrored = _mirror_axes(layout, transpose, decisions)
    network, network_reason = _choose_network(budget, request)
    decisions.append(Decision(topic="network", value=network, reason=network_reason))
    preset = PRESETS[network]
    share = min(1.0, budget.memory_bytes / (preset.reference_gb * GIGABYTE))
    configurations = {}
    for name in wanted_configurations(measures, request, decisions):
        dims = 2 if name == "2d" else 3
        reference = preset.reference[dims] * share
        sizes = plan_sizes(measures, spacing, transpose, dims, preset, reference)
        training = replace(
            nnunet_training(dataset, dims),
            mirror_axes=tuple(axis - (3 - dims) for axis in mirrored if axis >= 3 - dims),
        )
        configuration = assemble(
            name,
            dataset,
            measures,
            spacing,
            transpose,
            sizes,
            training,
            seed=request.seed,
            canonical=canonical,
        )
        gigabytes = min(budget.memory_bytes / GIGABYTE, preset.reference_gb)
        decisions.append(
            Decision(
                topic=f"{name}: patch and batch by memory",
                value=f"{_times(configuration.patch_size)}, batch {configuration.batch_size}",
                reason=f"{gigabytes:.1f} GB of memory, by nnU-Net's rules",
            )
        )
        if budget.time_s is not None:
            configuration, reasons = fit_to_time(configuration, budget)
            decisions.extend(reasons)
        else:
            decisions.append(
                Decision(
                    topic=f"{name}: schedule",
                    value="1000 epochs of 250 steps",
                    reason="no time budget was given; this is nnU-Net's schedule"
                    + (", which takes weeks on a CPU" if budget.device == "cpu" else ""),
                )
            )
        configurations[name] = configuration
    return Plan(
        dataset=dataset.name,
        planner="auto",
        file_ending=dataset.file_ending,
        configurations=configurations,
        decisions=tuple(decisions),
    )


def _orientation(orientations: set[str]) -> Decision:
    listed = ", ".join(sorted(orientations))
    if len(orientations) > 1:
        return Decision(
            topic="orientation",
            value="LPS",
            reason=f"the cases have different orientations ({listed})",
        )
    return Decision(
        topic="orientation", value="as it is", reason=f"all cases are oriented {listed}"
    )


def _mirror_axes(
    layout: tuple[float, float, float],
    transpose: tuple[int, int, int],
    decisions: list[Decision],
) -> tuple[int, ...]:
    """Axes of the transposed image that may be mirrored."""
    mirrored = tuple(
        position for position, axis in enumerate(transpose) if layout[axis] < CONSISTENT
    )
    for position, axis in enumerate(transpose):
        share = layout[axis]
        name = "zyx"[axis]
        decisions.append(
            Decision(
                topic=f"mirroring along {name}",
                value="yes" if position in mirrored else "no",
                reason=f"two labels have the same order along {name} in {share:.0%} of the cases"
                if share
                else "no two labels have an order along this axis",
            )
        )
    return mirrored


def _choose_network(budget: Budget, request: Request) -> tuple[str, str]:
    if request.network is not None:
        return request.network, "as asked for"
    gigabytes = budget.memory_bytes / GIGABYTE
    if budget.device != "cuda":
        return "plain", f"the least work per voxel, for training on {budget.device}"
    if gigabytes >= LARGE_GPU_GB:
        return "L", f"the GPU has {gigabytes:.0f} GB"
    if gigabytes >= MEDIUM_GPU_GB:
        return "M", f"the GPU has {gigabytes:.0f} GB"
    return "plain", f"the GPU has only {gigabytes:.0f} GB"


def _times(values: tuple[int, ...]) -> str:
    return "×".join(map(str, values))
