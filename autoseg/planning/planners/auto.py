"""Our planner: nnU-Net's rules, fitted to the memory and the time that are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from autoseg.errors import InputError
from autoseg.planning.budget import Budget
from autoseg.planning.families import find_family
from autoseg.planning.measures import measures_of, target_spacing, transposition
from autoseg.planning.planners.drafts import Drafter, Grid, fits, make_grid
from autoseg.planning.planners.lowres import plan_cascade, plan_lowres
from autoseg.planning.planners.memory_budget import MemoryBudget
from autoseg.planning.planners.multipath import FUSION_SHARE, plan_fusion, plan_paths
from autoseg.planning.planners.nnunet import drop_cascade
from autoseg.planning.planners.orientation import choose_orientation, turned_layout
from autoseg.planning.planners.planes import count_slices, find_planes
from autoseg.planning.planners.presets import GIGABYTE, find_preset
from autoseg.planning.planners.request import (
    DROPPED,
    Request,
    Wanted,
    wanted_configurations,
)
from autoseg.planning.planners.time_budget import USABLE, fit_to_time, set_schedule
from autoseg.planning.topology import initial_patch, make_topology
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration, Decision, Plan

CONSISTENT = 0.95
"""Share of cases in which two labels must have the same order for an axis not to be mirrored."""
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
MIN_FUSION_PATCH = 16


def plan_auto(dataset: Dataset, fingerprint: Fingerprint, budget: Budget, request: Request) -> Plan:
    """Plans for a budget.

    Raises:
        InputError: A configuration that was asked for does not fit the data.
        UnknownNameError: A configuration or network is unknown.
    """
    if request.network is not None:
        find_preset(request.network)
    recipe = request.recipe
    orientation, orientation_reason = choose_orientation(fingerprint, recipe)
    measures = measures_of(dataset, fingerprint, orientation)
    spacing, spacing_reason = target_spacing(measures)
    if recipe is not None and recipe.spacing_mm is not None:
        spacing, spacing_reason = recipe.spacing_mm, "the recipe's"
    transpose = transposition(spacing)
    decisions = [
        orientation_reason,
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
    layout = turned_layout(fingerprint, orientation)
    if recipe is not None and not recipe.mirror:
        mirrored: tuple[int, ...] = ()
        decisions.append(Decision(topic="mirroring", value="no", reason="the recipe's"))
    else:
        mirrored = _mirror_axes(layout, transpose, decisions)
    network, network_reason = _choose_network(budget, request)
    decisions.append(Decision(topic="network", value=network, reason=network_reason))
    flat = all(shape[0] == 1 for shape in measures.shapes)
    wanted = wanted_configurations(
        measures,
        request,
        decisions,
        usual=USUAL,
        everything=EVERYTHING_2D if flat else EVERYTHING,
    )
    drafter = Drafter(
        dataset=dataset,
        measures=measures,
        request=request,
        preset=find_preset(network),
        transpose=transpose,
        orientation=orientation,
        mirrored=mirrored,
        rare=_has_rare_classes(fingerprint, decisions),
    )
    grid = make_grid(measures, spacing, transpose)
    bench = _Workbench(
        drafter=drafter,
        budget=budget,
        grid=grid,
        memory=MemoryBudget(drafter=drafter, budget=budget, grid=grid, decisions=decisions),
        planes=find_planes(orientation or "LPS", transpose),
        decisions=decisions,
        made={},
    )
    bench.plan_all(wanted)
    return Plan(
        dataset=dataset.name,
        planner="auto",
        file_ending=dataset.file_ending,
        configurations=bench.made,
        decisions=tuple(decisions),
    )


@dataclass(frozen=True, kw_only=True)
class _Workbench:
    """Plans configurations one after the other.

    Attributes:
        drafter: Drafts them.
        budget: What they are fitted to.
        grid: The cases at the target spacing.
        memory: Fits them to it.
        planes: Plane → axis of the transposed image that it cuts.
        decisions: Reasons are added here.
        made: Configurations are added here.
    """

    drafter: Drafter
    budget: Budget
    grid: Grid
    memory: MemoryBudget
    planes: dict[str, int]
    decisions: list[Decision]
    made: dict[str, Configuration]

    def plan_all(self, wanted: list[Wanted]) -> None:
        """Plans everything that is wanted."""
        names = [item.name for item in wanted]
        cascade = {"3d_lowres", "3d_cascade_fullres"}
        for item in wanted:
            if item.architecture is not None and self._is_too_small(item):
                continue
            if item.base in ("2d", "2.5d"):
                self.made[item.name] = self._slices(item)
            elif item.base == "multipath_2.5d":
                self._multipath(item.name)
            elif item.name not in cascade:
                self.made[item.name] = self._volumes(item, self.grid)
        if cascade & set(names):
            self._cascade(names)

    def _slice_axis(self, item: Wanted) -> int:
        return 0 if item.plane is None else self.planes[item.plane]

    def _is_too_small(self, item: Wanted) -> bool:
        """Whether images are too small for an architecture, which is written down.

        Raises:
            InputError: It was asked for by name.
        """
        architecture = str(item.architecture)
        axes = [axis for axis in range(3) if item.dimensions == 3 or axis != self._slice_axis(item)]
        spacing = [self.grid.spacing[axis] for axis in axes]
        shape = [self.grid.shape[axis] for axis in axes]
        poolings = len(make_topology(spacing, initial_patch(spacing, shape)).strides) - 1
        if poolings >= find_family(architecture).min_poolings:
            return False
        size = " × ".join(f"{value:.0f}" for value in shape)
        reason = f"the images, {size} voxels, are too small for {architecture}"
        if item.name in self.drafter.request.configurations:
            raise InputError(f"--configurations {item.name}: {reason}. Choose {item.base}.")
        self.decisions.append(Decision(topic=item.name, value=DROPPED, reason=reason))
        return True

    def _slices(self, item: Wanted) -> Configuration:
        axis = self._slice_axis(item)
        count = count_slices(self.grid.spacing, axis) if item.base == "2.5d" else 1
        if count > 1:
            self.decisions.append(
                Decision(
                    topic=f"{item.name}: slices",
                    value=str(count),
                    reason=f"slices are {self.grid.spacing[axis]:.3g} mm apart",
                )
            )

        def draft(reference: float, width: int | None) -> Configuration:
            return self.drafter.draft(
                item.name,
                self.grid,
                reference,
                architecture=item.architecture,
                width=width,
                slice_axis=axis,
                num_slices=count,
            )

        return self._fit(draft, 2)

    def _volumes(self, item: Wanted, grid: Grid, *, fit_time: bool = True) -> Configuration:
        def draft(reference: float, width: int | None) -> Configuration:
            return self.drafter.draft(
                item.name, grid, reference, architecture=item.architecture, width=width
            )

        return self._fit(draft, 3, fit_time=fit_time)

    def _cascade(self, names: list[str]) -> None:
        """Low resolution and second stage, where a patch sees too little of a case."""
        fullres = Wanted(name="3d_fullres", base="3d_fullres")
        by_memory = self._volumes(fullres, self.grid, fit_time=False)
        reference = self.memory.reference_like(by_memory)
        grids = [self.grid]

        def draft(grid: Grid) -> Configuration:
            grids.append(grid)
            return self.drafter.draft("3d_lowres", grid, reference)

        lowres, reason = plan_lowres(by_memory, self.grid, draft)
        if lowres is None:
            self.decisions.extend(drop_cascade(names, self.drafter.request, reason))
            return
        spacing = " × ".join(f"{step:.3g}" for step in lowres.spacing_mm if step)
        self.decisions.append(
            Decision(topic="3d_lowres: spacing", value=f"{spacing} mm", reason=reason)
        )
        if self.budget.time_s is None:
            lowres = self.memory.fit(
                lowres,
                lambda size, width: self.drafter.draft("3d_lowres", grids[-1], size, width=width),
                reference,
            )
        self.made["3d_lowres"] = self._finish(lowres)
        if "3d_cascade_fullres" in names:
            training = replace(by_memory.training, batch_dice=True)
            second = plan_cascade(
                replace(by_memory, training=training), "3d_cascade_fullres", "3d_lowres"
            )
            # A second stage at a coarser resolution would have nothing to add.
            self.made[second.name] = self._finish(second, coarsen=False)

    def _multipath(self, name: str) -> None:
        time_s = self.budget.time_s
        path_s = time_s and time_s * (1 - FUSION_SHARE) / (3 * len(self.planes))

        def plan_path(path: str, axis: int) -> Configuration:
            def draft(reference: float, width: int | None) -> Configuration:
                configuration = self.drafter.draft(
                    path, self.grid, reference, slice_axis=axis, width=width
                )
                # All paths are resampled along all axes, so that their outputs stack to volumes.
                return replace(configuration, spacing_mm=self.grid.spacing)

            return self._fit(draft, 2, time_s=path_s)

        paths = plan_paths(self.drafter, self.planes, plan_path)
        fusion = plan_fusion(self.drafter, self.grid, name, paths)
        if time_s is not None and self.budget.step_s is not None:
            fusion_s = FUSION_SHARE * time_s
            steps = int(USABLE * fusion_s / self.budget.step_s(fusion))
            fusion = set_schedule(fusion, fusion_s, steps)
        self.made.update({path.name: path for path in paths})
        fusion = fits(fusion, self.budget)
        while (
            fusion.memory_bytes > self.memory.memory_bytes
            and max(fusion.patch_size) > MIN_FUSION_PATCH
        ):
            patch = tuple(max(1, round(0.8 * size)) for size in fusion.patch_size)
            fusion = fits(replace(fusion, patch_size=patch), self.budget)
        self.made[name] = fusion
        self.decisions.append(
            Decision(
                topic=f"{name}: paths",
                value=", ".join(path.name for path in paths),
                reason="three planes times three normalisations, joined by a small network that "
                "is trained on held-out outputs",
            )
        )

    def _fit(
        self,
        draft: Callable[[float, int | None], Configuration],
        dims: int,
        *,
        fit_time: bool = True,
        time_s: float | None = None,
    ) -> Configuration:
        """Drafts a configuration and fits it to memory and time."""
        reference = self.memory.reference(dims)
        configuration = draft(reference, None)
        if not fit_time or self.budget.time_s is None:
            configuration = self.memory.fit(configuration, draft, reference)
        return self._finish(configuration, time_s=time_s) if fit_time else configuration

    def _finish(
        self, configuration: Configuration, *, coarsen: bool = True, time_s: float | None = None
    ) -> Configuration:
        """Fits to the time where there is a budget, and writes down why."""
        self.decisions.append(
            Decision(
                topic=f"{configuration.name}: patch and batch by memory",
                value=f"{'×'.join(map(str, configuration.patch_size))}, batch {configuration.batch_size}",
                reason=f"{self.memory.memory_bytes / GIGABYTE:.1f} GB of memory, "
                "by nnU-Net's rules",
            )
        )
        if self.budget.time_s is None:
            weeks = ", which takes weeks on a CPU" if self.budget.device == "cpu" else ""
            plan = configuration.training
            self.decisions.append(
                Decision(
                    topic=f"{configuration.name}: schedule",
                    value=f"{plan.epochs} epochs of {plan.steps_per_epoch} steps",
                    reason=f"no time budget was given; this is nnU-Net's schedule{weeks}",
                )
            )
            return fits(configuration, self.budget)
        budget = replace(self.budget, time_s=time_s or self.budget.time_s)
        fitted, reasons = fit_to_time(configuration, budget, coarsen=coarsen)
        self.decisions.extend(reasons)
        return fits(fitted, self.budget)


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


def _has_rare_classes(fingerprint: Fingerprint, decisions: list[Decision]) -> bool:
    """Whether one of several classes is so small that random patches hardly meet it."""
    frequencies = fingerprint.class_frequencies
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
