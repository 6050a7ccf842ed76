"""Plans the configurations of our planner one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoseg.errors import InputError
from autoseg.planning.budget import Budget
from autoseg.planning.families import find_family
from autoseg.planning.planners.drafts import Drafter, Grid
from autoseg.planning.planners.lowres import CASCADE, drop_cascade, plan_cascade, plan_lowres
from autoseg.planning.planners.memory_budget import Draft, MemoryBudget
from autoseg.planning.planners.multipath import FUSION_SHARE, plan_fusion, plan_paths
from autoseg.planning.planners.planes import count_slices
from autoseg.planning.planners.presets import GIGABYTE
from autoseg.planning.planners.request import Wanted, dropped
from autoseg.planning.planners.time_budget import USABLE, fit_to_time, set_schedule
from autoseg.planning.topology import initial_patch, make_topology
from autoseg.schema.plan import Configuration, Decision

MIN_FUSION_PATCH = 16


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """Plans configurations.

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
        """Plans everything that is wanted.

        Raises:
            InputError: A configuration that was asked for by name does not fit the data.
        """
        names = [item.name for item in wanted]
        for item in wanted:
            if item.architecture is not None and self._is_too_small(item):
                continue
            if item.base in ("2d", "2.5d"):
                self.made[item.name] = self._slices(item)
            elif item.base == "multipath_2.5d":
                self._multipath(item.name)
            elif item.name not in CASCADE:
                self.made[item.name] = self._volumes(item)
        if set(CASCADE) & set(names):
            self._cascade(names)
        self.decisions.extend(self.memory.exceeded(self.made))

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
        self.decisions.append(dropped(item.name, reason))
        return True

    def _slices(self, item: Wanted) -> Configuration:
        axis = self._slice_axis(item)
        count = count_slices(self.grid.spacing, axis) if item.base == "2.5d" else 1
        if count > 1:
            reason = f"slices are {self.grid.spacing[axis]:.3g} mm apart"
            self._decide(item.name, "slices", str(count), reason)

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

        return self._finish(self.memory.fit(draft, self.memory.reference(2)))

    def _volumes(self, item: Wanted) -> Configuration:
        draft = self._draft_volumes(item.name, self.grid, item.architecture)
        return self._finish(self.memory.fit(draft, self.memory.reference(3)))

    def _draft_volumes(self, name: str, grid: Grid, architecture: str | None = None) -> Draft:
        def draft(reference: float, width: int | None) -> Configuration:
            return self.drafter.draft(name, grid, reference, architecture=architecture, width=width)

        return draft

    def _cascade(self, names: Sequence[str]) -> None:
        """Low resolution and second stage, where a patch sees too little of a case."""
        draft_fullres = self._draft_volumes("3d_fullres", self.grid)
        fullres = self.memory.fit(draft_fullres, self.memory.reference(3))
        reference = self.memory.reference_like(fullres)
        grids = [self.grid]

        def draft_at(grid: Grid) -> Configuration:
            grids.append(grid)
            return self.drafter.draft("3d_lowres", grid, reference)

        lowres, reason = plan_lowres(fullres, self.grid, draft_at)
        if lowres is None:
            self.decisions.extend(drop_cascade(names, self.drafter.request, reason))
            return
        spacing = " × ".join(f"{step:.3g}" for step in lowres.spacing_mm if step)
        self._decide("3d_lowres", "spacing", f"{spacing} mm", reason)
        draft = self._draft_volumes("3d_lowres", grids[-1])
        self.made["3d_lowres"] = self._finish(self.memory.fit(draft, reference))
        if "3d_cascade_fullres" in names:
            self.made["3d_cascade_fullres"] = self._second_stage(draft_fullres)

    def _second_stage(self, draft_fullres: Draft) -> Configuration:
        def draft(reference: float, width: int | None) -> Configuration:
            like = draft_fullres(reference, width)
            like = replace(like, training=replace(like.training, batch_dice=True))
            return plan_cascade(like, "3d_cascade_fullres", "3d_lowres")

        # A second stage at a coarser resolution would have nothing to add.
        return self._finish(self.memory.fit(draft, self.memory.reference(3)), coarsen=False)

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

            return self._finish(self.memory.fit(draft, self.memory.reference(2)), time_s=path_s)

        before = len(self.decisions)
        paths = plan_paths(self.drafter, self.planes, plan_path)
        # What is decided for a plane holds for all of its paths.
        self.decisions[before:] = [
            replace(item, configuration=name, topic=f"{item.configuration}, {item.topic}")
            for item in self.decisions[before:]
        ]
        self.made.update({path.name: path for path in paths})
        self.made[name] = self._fusion(name, paths)
        self._decide(
            name,
            "paths",
            ", ".join(path.name for path in paths),
            "three planes times three normalisations, joined by a small network that is trained "
            "on held-out outputs",
        )

    def _fusion(self, name: str, paths: list[Configuration]) -> Configuration:
        """The network that joins paths, with as large a patch as fits."""
        fusion = self.memory.weigh(plan_fusion(self.drafter, self.grid, name, paths))
        while not self.memory.keeps(fusion) and max(fusion.patch_size) > MIN_FUSION_PATCH:
            patch = tuple(max(1, round(0.8 * size)) for size in fusion.patch_size)
            fusion = self.memory.weigh(replace(fusion, patch_size=patch))
        if not self.memory.keeps(fusion):
            fusion = self.memory.weigh(replace(fusion, batch_size=1))
        if self.budget.time_s is None or self.budget.costs is None:
            return fusion
        fusion_s = FUSION_SHARE * self.budget.time_s
        steps = int(USABLE * fusion_s / self.budget.costs.step_s(fusion))
        return set_schedule(fusion, fusion_s, steps)

    def _finish(
        self, configuration: Configuration, *, coarsen: bool = True, time_s: float | None = None
    ) -> Configuration:
        """Fits to the time where there is a budget, and writes down why."""
        name = configuration.name
        patch = "×".join(map(str, configuration.patch_size))
        self._decide(
            name,
            "patch and batch by memory",
            f"{patch}, batch {configuration.batch_size}",
            f"{self.memory.memory_bytes / GIGABYTE:.1f} GB of memory, by nnU-Net's rules",
        )
        if self.budget.time_s is None:
            weeks = ", which takes weeks on a CPU" if self.budget.device == "cpu" else ""
            plan = configuration.training
            self._decide(
                name,
                "schedule",
                f"{plan.epochs} epochs of {plan.steps_per_epoch} steps",
                f"no time budget was given; this is nnU-Net's schedule{weeks}",
            )
        else:
            configuration, reasons = fit_to_time(
                configuration,
                replace(self.budget, time_s=time_s or self.budget.time_s),
                coarsen=coarsen,
                keeps=self.memory.allows,
            )
            configuration = self.memory.weigh(configuration)
            self.decisions.extend(reasons)
        return configuration

    def _decide(self, configuration: str, topic: str, value: str, reason: str) -> None:
        self.decisions.append(
            Decision(configuration=configuration, topic=topic, value=value, reason=reason)
        )
