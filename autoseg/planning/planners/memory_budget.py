"""Patches, batches and widths that keep the memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from autoseg.costs.machine import PROCESS_BYTES
from autoseg.planning.budget import Budget
from autoseg.planning.families import Candidate, find_family
from autoseg.planning.network_size import work_of
from autoseg.planning.planners.candidates import apply_candidate, smaller_patches
from autoseg.planning.planners.drafts import Drafter, Grid
from autoseg.planning.planners.presets import GIGABYTE
from autoseg.preprocessing.store import CACHE_BYTES
from autoseg.schema.plan import Configuration, Decision

logger = logging.getLogger(__name__)

Draft = Callable[[float, int | None], Configuration]
"""(feature map elements, width or None for the full one) → configuration."""
ATTEMPTS = 4
"""How often a smaller draft is traced before the smallest one is."""
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
    """

    drafter: Drafter
    budget: Budget
    grid: Grid

    @property
    def memory_bytes(self) -> int:
        """What a training may take: all that was named, or no more than the preset needs."""
        if self.drafter.request.memory:
            return self.budget.memory_bytes
        reference = int(self.drafter.preset.reference_gb * GIGABYTE)
        return min(self.budget.memory_bytes, reference)

    def reference(self, dims: int) -> float:
        """Feature map elements that fit the memory, by nnU-Net's numbers."""
        preset = self.drafter.preset
        return self.memory_bytes / (preset.reference_gb * GIGABYTE) * preset.reference[dims]

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

    def weigh(self, configuration: Configuration) -> Configuration:
        """The configuration with the best estimate of its memory that there is.

        Preprocessed cases stay in memory as far as there is room for them.
        """
        costs = self.budget.costs
        if costs is None:
            return configuration
        own = costs.memory_bytes(replace(configuration, cache_bytes=0))
        left = max(0, self.memory_bytes - own)
        if configuration.previous is not None:  # its predictions take half as much on top
            left = 2 * left // 3
        weighed = replace(configuration, cache_bytes=min(left, CACHE_BYTES))
        return replace(weighed, memory_bytes=costs.memory_bytes(weighed))

    def keeps(self, configuration: Configuration) -> bool:
        """Whether a configuration keeps the memory by its own estimate."""
        return configuration.memory_bytes <= self.memory_bytes

    def allows(self, configuration: Configuration) -> bool:
        """Whether a configuration keeps the memory by the best estimate that there is."""
        return self.keeps(self.weigh(configuration))

    def fit(self, draft: Draft, reference: float) -> Configuration:
        """Drafts smaller patches, then narrower networks, then one patch, until it fits.

        Args:
            draft: Drafts the configuration.
            reference: Feature map elements of the first draft.

        Returns:
            The first one that fits, else the smallest.
        """
        first = trial = self.weigh(draft(reference, None))
        if self.budget.costs is None or self.keeps(first):
            return first
        widths = find_family(first.network.architecture).widths
        for width in widths:
            min_patch = SMALLEST_PATCH if width == widths[-1] else MIN_PATCH
            start = first if width == widths[0] else self.weigh(draft(reference, width))
            trial = self._shrink(start, _Shrinking(draft, reference, width, min_patch))
            if self.keeps(trial):
                return trial
        return self._smallest(trial)

    def _smallest(self, configuration: Configuration) -> Configuration:
        """The narrowest network with one patch, as large as fits."""
        family = find_family(configuration.network.architecture)
        found = self.weigh(replace(configuration, batch_size=1))
        for candidate in smaller_patches(Candidate(width=family.widths[-1])):
            if self.keeps(found):
                break
            found = self.weigh(apply_candidate(configuration, candidate, family, coarsen=False))
        return found

    def _shrink(self, trial: Configuration, drafts: _Shrinking) -> Configuration:
        """The largest of ever smaller drafts that should fit, judged by its work."""
        smaller = iter(drafts)
        for _ in range(ATTEMPTS):
            if self.keeps(trial):
                return trial
            goal = self._excess(trial) * work_of(trial)
            found = next((item for item in smaller if work_of(item) <= goal), None)
            if found is None:
                break
            trial = self.weigh(found)
        return trial if self.keeps(trial) else self.weigh(drafts.smallest(trial))

    def _excess(self, configuration: Configuration) -> float:
        """Memory that is there for a step relative to what one needs."""
        base = PROCESS_BYTES[self.budget.device]
        return max(self.memory_bytes - base, 1) / max(configuration.memory_bytes - base, 1)

    def exceeded(self, made: Mapping[str, Configuration]) -> list[Decision]:
        """Why some configurations exceed the memory; said aloud where it was named."""
        over = {name: item for name, item in made.items() if not self.keeps(item)}
        if self.budget.costs is None or not over:
            return []
        there = _gigabytes(self.memory_bytes)
        base = _gigabytes(PROCESS_BYTES[self.budget.device])
        if self.drafter.request.memory:
            logger.warning(
                "--memory %s cannot be kept: the smallest sensible networks take %s. Give more, "
                "or plan others with --configurations.",
                there,
                ", ".join(
                    f"{_gigabytes(item.memory_bytes)} ({name})" for name, item in over.items()
                ),
            )
        return [
            Decision(
                configuration=name,
                topic="memory",
                value=_gigabytes(item.memory_bytes),
                reason=f"more than the {there} that are there, which cannot be kept: the program "
                f"itself takes {base}, and no smaller patch, batch or network is sensible",
            )
            for name, item in over.items()
        ]


def _gigabytes(size: int) -> str:
    return f"{size / GIGABYTE:.3g} GB"


@dataclass(frozen=True)
class _Shrinking:
    """Ever smaller drafts of one width, down to the smallest sensible patch."""

    draft: Draft
    reference: float
    width: int | None
    min_patch: int

    def __iter__(self) -> Iterator[Configuration]:
        reference = self.reference
        for _ in range(MAX_SHRINKS):
            reference *= SHRINK
            smaller = self.draft(reference, self.width)
            sizes = zip(smaller.patch_size, smaller.median_shape, strict=True)
            if any(size < min(self.min_patch, median / 2) for size, median in sizes):
                return
            yield smaller

    def smallest(self, default: Configuration) -> Configuration:
        """The draft of the least work, or the default where there is none."""
        return min(self, key=work_of, default=default)
