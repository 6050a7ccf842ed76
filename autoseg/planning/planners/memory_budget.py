"""Patches, batches and widths that fit the memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoseg.planning.budget import Budget
from autoseg.planning.families import find_family
from autoseg.planning.network_size import BASE_BYTES
from autoseg.planning.planners.drafts import Drafter, Grid, fits
from autoseg.planning.planners.presets import GIGABYTE
from autoseg.planning.planners.time_budget import work_of
from autoseg.schema.plan import Configuration, Decision

FIT_ATTEMPTS = 4
MIN_PATCH, SMALLEST_PATCH = 24, 16
"""Voxels below which no axis of a patch is shortened: before and after the network is narrowed."""
SHRINK, MAX_SHRINKS = 0.93, 60


@dataclass(frozen=True, kw_only=True)
class MemoryBudget:
    """Fits configurations to the memory that is there.

    Attributes:
        drafter: Drafts them.
        budget: Memory, and what a configuration takes of it.
        grid: The cases at the target spacing.
        decisions: Reasons are added here.
    """

    drafter: Drafter
    budget: Budget
    grid: Grid
    decisions: list[Decision]

    @property
    def memory_bytes(self) -> int:
        """What a training may take: all that was named, or no more than the preset needs."""
        if self.drafter.request.memory:
            return self.budget.memory_bytes
        reference = int(self.drafter.preset.reference_gb * GIGABYTE)
        return min(self.budget.memory_bytes, reference)

    def _share(self) -> float:
        return self.memory_bytes / (self.drafter.preset.reference_gb * GIGABYTE)

    def reference(self, dims: int) -> float:
        """Feature map elements that fit the memory, by nnU-Net's numbers."""
        return self._share() * self.drafter.preset.reference[dims]

    def reference_like(self, configuration: Configuration) -> float:
        """Feature map elements at which the draft at full resolution is no larger than one."""
        reference = self.reference(3)
        for _ in range(MAX_SHRINKS):
            if work_of(self.drafter.draft(configuration.name, self.grid, reference)) <= work_of(
                configuration
            ):
                break
            reference *= SHRINK
        return reference

    def _excess(self, configuration: Configuration) -> float:
        """Memory that is there for a step relative to what one needs."""
        return max(self.memory_bytes - BASE_BYTES, 1) / max(
            configuration.memory_bytes - BASE_BYTES, 1
        )

    def fit(
        self,
        configuration: Configuration,
        draft: Callable[[float, int | None], Configuration],
        reference: float,
    ) -> Configuration:
        """Drafts smaller patches, then narrower networks, until the memory is kept.

        Args:
            configuration: The first draft.
            draft: Drafts it again with another number of feature map elements and another width.
            reference: Feature map elements of the first draft.
        """
        trial = configuration = fits(configuration, self.budget)
        if self.budget.footprint is None:
            return configuration
        family = find_family(configuration.network.architecture)
        narrower = sorted({part.width for part in family.candidates}, reverse=True)[1:]
        widths = [None, *narrower]
        for width in widths:
            min_patch = SMALLEST_PATCH if width == widths[-1] else MIN_PATCH
            at = reference
            trial = configuration if width is None else fits(draft(reference, width), self.budget)
            for _ in range(FIT_ATTEMPTS):
                if trial.memory_bytes <= self.memory_bytes:
                    return trial
                smaller, at = self._shrink(trial, draft, at, width, min_patch)
                if smaller is trial:
                    break
                trial = smaller
            if trial.memory_bytes <= self.memory_bytes:
                return trial
        self.decisions.append(
            Decision(
                topic=f"{trial.name}: memory",
                value=f"{trial.memory_bytes / GIGABYTE:.1f} GB",
                reason=f"more than the {self.memory_bytes / GIGABYTE:.1f} GB that are there: no "
                "smaller patch is sensible",
            )
        )
        return trial

    def _shrink(
        self,
        configuration: Configuration,
        draft: Callable[[float, int | None], Configuration],
        reference: float,
        width: int | None,
        min_patch: int,
    ) -> tuple[Configuration, float]:
        """The next smaller draft that should fit, judged by its work, or the smallest there is."""
        goal = self._excess(configuration) * work_of(configuration)
        smallest = configuration, reference
        for _ in range(MAX_SHRINKS):
            reference *= SHRINK
            smaller = draft(reference, width)
            sizes = zip(smaller.patch_size, smaller.median_shape, strict=True)
            if any(size < min(min_patch, median / 2) for size, median in sizes):
                break
            smallest = smaller, reference
            if work_of(smaller) <= goal:
                break
        if smallest[0] is configuration:
            return smallest
        return fits(smallest[0], self.budget), smallest[1]
