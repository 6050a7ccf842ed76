"""Our planner: nnU-Net's rules, fitted to the memory and the time that are there."""

from __future__ import annotations

from dataclasses import dataclass

from autoseg.datasets.groups import find_groups
from autoseg.planning.budget import Budget
from autoseg.planning.layout import AxisLayout, axis_layouts
from autoseg.planning.measures import Measures, measures_of, target_spacing, transposition
from autoseg.planning.planners.drafts import Drafter, make_grid
from autoseg.planning.planners.memory_budget import MemoryBudget
from autoseg.planning.planners.orientation import choose_orientation
from autoseg.planning.planners.planes import find_planes
from autoseg.planning.planners.presets import GIGABYTE, find_preset
from autoseg.planning.planners.request import Request, wanted_configurations
from autoseg.planning.planners.workbench import Workbench
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.labels import LabelScheme
from autoseg.schema.orientation import Orientation
from autoseg.schema.plan import Decision, Plan

RARE = 1e-3
"""Share of all voxels below which a class of several is rare."""
LARGE_GPU_GB, MEDIUM_GPU_GB = 22, 8
USUAL = ("2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres")
TRANSFORMERS = ("swin_unetr", "dformer", "primus")
EVERYTHING = (
    *USUAL,
    "2.5d",
    "multipath_2.5d",
    *(f"3d_fullres_{name}" for name in TRANSFORMERS),
)
EVERYTHING_2D = ("2d", *(f"2d_{name}" for name in TRANSFORMERS))


def plan_auto(dataset: Dataset, fingerprint: Fingerprint, budget: Budget, request: Request) -> Plan:
    """Plans for a budget.

    Raises:
        InputError: A configuration that was asked for does not fit the data.
        UnknownNameError: A configuration or network is unknown.
    """
    if request.network is not None:
        find_preset(request.network)
    decisions: list[Decision] = []
    frame = _find_frame(dataset, fingerprint, request, decisions)
    mirrored = _mirrored_axes(dataset, fingerprint, request, frame, decisions)
    network = _choose_network(budget, request, decisions)
    flat = all(shape[0] == 1 for shape in frame.measures.shapes)
    everything = EVERYTHING_2D if flat else EVERYTHING
    wanted = wanted_configurations(
        frame.measures, request, decisions, usual=USUAL, everything=everything
    )
    drafter = Drafter(
        dataset=dataset,
        measures=frame.measures,
        request=request,
        preset=find_preset(network),
        transpose=frame.transpose,
        orientation=frame.orientation,
        mirrored=mirrored,
        rare=_has_rare_classes(fingerprint, decisions),
        device=budget.device,
    )
    bench = _make_bench(drafter, budget, frame, decisions)
    bench.plan_all(wanted)
    return Plan(
        dataset=dataset.name,
        planner="auto",
        file_ending=dataset.file_ending,
        configurations=bench.made,
        decisions=tuple(decisions),
    )


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """How images lie before networks see them.

    Attributes:
        measures: The cases in that orientation.
        orientation: All cases are turned to it first; None leaves them as they are.
        spacing_mm: Target spacing (z, y, x) before transposition.
        transpose: Axis order.
    """

    measures: Measures
    orientation: Orientation | None
    spacing_mm: tuple[float, ...]
    transpose: tuple[int, int, int]


def _make_bench(
    drafter: Drafter, budget: Budget, frame: _Frame, decisions: list[Decision]
) -> Workbench:
    grid = make_grid(frame.measures, frame.spacing_mm, frame.transpose)
    return Workbench(
        drafter=drafter,
        budget=budget,
        grid=grid,
        memory=MemoryBudget(drafter=drafter, budget=budget, grid=grid),
        planes=find_planes(frame.orientation or "LPS", frame.transpose),
        decisions=decisions,
        made={},
    )


def _find_frame(
    dataset: Dataset, fingerprint: Fingerprint, request: Request, decisions: list[Decision]
) -> _Frame:
    recipe = request.recipe
    orientation, orientation_decision = choose_orientation(fingerprint, recipe)
    measures = measures_of(dataset, fingerprint, orientation)
    spacing, reason = target_spacing(measures)
    if recipe is not None and recipe.spacing_mm is not None:
        spacing, reason = recipe.spacing_mm, "the recipe's"
    transpose = transposition(spacing)
    decisions += [
        orientation_decision,
        Decision(
            topic="target spacing",
            value=" × ".join(f"{value:.4g}" for value in spacing) + " mm",
            reason=reason,
        ),
        Decision(
            topic="axis order",
            value=str(transpose),
            reason="the axis with the largest spacing comes first",
        ),
    ]
    return _Frame(
        measures=measures, orientation=orientation, spacing_mm=spacing, transpose=transpose
    )


def _mirrored_axes(
    dataset: Dataset,
    fingerprint: Fingerprint,
    request: Request,
    frame: _Frame,
    decisions: list[Decision],
) -> tuple[int, ...]:
    """Axes of the transposed image that are mirrored."""
    if request.recipe is not None and not request.recipe.mirror:
        decisions.append(Decision(topic="mirroring", value="no", reason="the recipe's"))
        return ()
    groups = request.groups
    if groups is None:
        groups = find_groups(list(fingerprint.cases)).groups
    layouts = axis_layouts(fingerprint, groups, frame.orientation)
    for axis in frame.transpose:
        decisions.append(
            Decision(
                topic=f"mirroring along {'zyx'[axis]}",
                value="no" if layouts[axis].is_ordered else "yes",
                reason=_explain_layout(layouts[axis], dataset.labels),
            )
        )
    return tuple(
        position for position, axis in enumerate(frame.transpose) if not layouts[axis].is_ordered
    )


def _explain_layout(layout: AxisLayout, labels: LabelScheme) -> str:
    if layout.best is None:
        return "no two labels lie apart along this axis"
    names = {str(item.values[0]): item.name for item in labels.classes if len(item.values) == 1}
    first, second = (names.get(value, f"label {value}") for value in layout.best.labels)
    found = (
        f"{first} and {second} are in the same order in {layout.best.agreeing} of "
        f"{layout.best.patients} patients"
    )
    if layout.is_ordered:
        return f"{found}; {layout.num_ordered} of {layout.num_pairs} pairs of labels keep theirs"
    return (
        f"no order that chance would not make: {found}, the clearest of {layout.num_pairs} pairs "
        f"of labels (probability up to {layout.chance:.1g})"
    )


def _has_rare_classes(fingerprint: Fingerprint, decisions: list[Decision]) -> bool:
    """Whether one of several classes is so small that random patches hardly meet it."""
    # A class that no case has is not rare: no patch and no loss could care for it.
    frequencies = {name: share for name, share in fingerprint.class_frequencies.items() if share}
    if len(frequencies) < 2 or min(frequencies.values()) >= RARE:
        return False
    value = min(frequencies, key=lambda name: frequencies[name])
    decisions.append(
        Decision(
            topic="class imbalance",
            value="patches are drawn per class, Dice only of classes that a batch has",
            reason=f"the label {value} fills {frequencies[value]:.2g} of all voxels, less than "
            f"{RARE:g}",
        )
    )
    return True


def _choose_network(budget: Budget, request: Request, decisions: list[Decision]) -> str:
    gigabytes = budget.memory_bytes / GIGABYTE
    if request.network is not None:
        network, reason = request.network, "as asked for"
    elif budget.device != "cuda":
        network, reason = "plain", f"the least work per voxel, for training on {budget.device}"
    elif gigabytes >= LARGE_GPU_GB:
        network, reason = "L", f"the GPU has {gigabytes:.0f} GB"
    elif gigabytes >= MEDIUM_GPU_GB:
        network, reason = "M", f"the GPU has {gigabytes:.0f} GB"
    else:
        network, reason = "plain", f"the GPU has only {gigabytes:.0f} GB"
    decisions.append(Decision(topic="network", value=network, reason=reason))
    return network
