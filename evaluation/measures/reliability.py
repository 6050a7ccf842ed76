"""How far probabilities can be trusted, counted in one pass over slabs of any size.

All sums are integers (fixed point): neither the size nor the order of slabs changes a digit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.measures.equal_mass import MassCounts, equal_mass, find_places
from evaluation.settings import Region, Settings

FINE_BINS = 4096
"""At least that many bins are counted; those that a reader asks for are sums of them."""
CHUNK = 1 << 20
"""Voxels at once: as many as keep the fixed-point sums exact in float64."""
FIXED = float(1 << 32)
FIXED_LOG = float(1 << 26)
SMALLEST = 1e-12
"""Probability below which the negative log likelihood does not grow any more."""

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Bins of a reliability diagram.

    Attributes:
        low: [b] lower edges.
        high: [b] upper edges.
        counts: [b] voxels.
        confidence: [b] mean confidence, nan where a bin is empty.
        accuracy: [b] share that is right, nan where a bin is empty.
    """

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    counts: Integers
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    def gaps(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """|accuracy − confidence| and share of the voxels, of the bins that hold any."""
        held = self.counts > 0
        gap = np.abs(self.accuracy[held] - self.confidence[held])
        return gap, self.counts[held] / max(int(self.counts.sum()), 1)


@dataclass(kw_only=True)
class BinCounts:
    """Fixed-point sums over the voxels of one region.

    Attributes:
        voxels: [2, f] voxels per fine bin of confidence, wrong and right ones.
        confidence: [f] sum of confidences.
        squares: Sum of squared errors.
        logs: Sum of negative logarithms.
        mass: What bins of equal numbers of voxels are made of, where somebody asks for them.
    """

    voxels: Integers
    confidence: Integers
    squares: int = 0
    logs: int = 0
    mass: MassCounts | None = None

    @property
    def total(self) -> int:
        """Voxels in all."""
        return int(self.voxels.sum())

    def add(self, other: BinCounts) -> None:
        """Adds another case."""
        self.voxels += other.voxels
        self.confidence += other.confidence
        self.squares += other.squares
        self.logs += other.logs
        if self.mass is not None and other.mass is not None:
            self.mass.add(other.mass)


@dataclass(kw_only=True)
class Calibration:
    """What calibration metrics are computed from, of one class or of all together.

    Attributes:
        regions: Sums by region.
        classes: Of all classes together: the calibrations of each (for the ACE).
    """

    regions: dict[Region, BinCounts]
    classes: tuple[Calibration, ...] = field(default=())

    def counts(self, settings: Settings) -> BinCounts:
        """Sums of the region that the settings name."""
        return self.regions[settings.region]

    def reliability(self, settings: Settings) -> Reliability:
        """Bins of equal width, or (adaptive) of equal numbers of voxels.

        A bin holds its lower edge; confidence 1 belongs to the last one.
        """
        counts, number = self.counts(settings), settings.num_bins
        if settings.adaptive:
            assert counts.mass is not None
            bins = equal_mass(counts.mass, number)
            return _make_bins(bins.low, bins.voxels, bins.right, bins.confidence)
        size = counts.voxels.shape[1]
        owner = np.arange(size) * number // size
        return _make_bins(
            np.searchsorted(owner, np.arange(number)) / size,
            np.bincount(owner, counts.voxels.sum(axis=0), number).astype(np.int64),
            np.bincount(owner, counts.voxels[1], number),
            np.bincount(owner, counts.confidence, number),
        )

    def error(self, settings: Settings) -> float:
        """Expected calibration error by the norm of the settings; nan without voxels."""
        gap, share = self.reliability(settings).gaps()
        if not len(gap):
            return math.nan
        return float((gap**settings.norm * share).sum() ** (1 / settings.norm))

    def maximum_error(self, settings: Settings) -> float:
        """Largest gap of a bin that holds voxels; nan without voxels."""
        gap, _ = self.reliability(settings).gaps()
        return float(gap.max()) if len(gap) else math.nan

    def brier(self, settings: Settings) -> float:
        """Mean squared error of the probabilities; nan without voxels."""
        counts = self.counts(settings)
        return counts.squares / FIXED / counts.total if counts.total else math.nan

    def negative_log_likelihood(self, settings: Settings) -> float:
        """Mean negative log likelihood; nan without voxels."""
        counts = self.counts(settings)
        return counts.logs / FIXED_LOG / counts.total if counts.total else math.nan

    def add(self, other: Calibration) -> None:
        """Adds another case's sums, for the bins of a whole data set.

        The classes are added on their own: they are the same objects that their names stand for,
        and would be counted twice.
        """
        for name, counts in other.regions.items():
            self.regions[name].add(counts)


def _make_bins(
    low: npt.NDArray[np.float64],
    voxels: Integers,
    right: npt.NDArray[Any],
    confidence: npt.NDArray[Any],
) -> Reliability:
    with np.errstate(invalid="ignore", divide="ignore"):
        return Reliability(
            low=low,
            high=np.append(low[1:], 1.0),
            counts=voxels,
            confidence=confidence / FIXED / voxels,
            accuracy=right / voxels,
        )


def fine_bins(numbers: Sequence[int]) -> int:
    """A number of fine bins that all the numbers of bins divide."""
    common = math.lcm(*numbers) if numbers else 1
    return common * max(1, math.ceil(FINE_BINS / common))


def probability_fault(values: npt.NDArray[Any], *, exclusive: bool) -> str | None:
    """What keeps values [c, …] from being probabilities, in words, or None."""
    if values.dtype.kind != "f":
        return f"are {values.dtype}; expected floating point numbers from 0 to 1"
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if not (math.isfinite(low) and math.isfinite(high)):
        return "hold NaN or infinite values"
    if low < -1e-6 or high > 1 + 1e-3:
        return f"reach from {low:.4g} to {high:.4g}; expected 0 to 1 (apply the softmax first)"
    if exclusive and values.size:
        total = values[0].astype(np.float32)
        for channel in values[1:]:
            total += channel
        gap = float(np.abs(total - 1).max())
        if gap > 0.02:
            return f"sum to 1 ± {gap:.3g} over the channels; expected 1 (apply the softmax first)"
    return None


class CalibrationCounter:
    """Counts the calibration of a case, slab by slab.

    Args:
        classes: Names of the channels, in order; None: a channel without metrics of its own
            (background).
        exclusive: Whether the channels sum to 1 (softmax); otherwise each stands for itself and
            there are no values for all classes together.
        regions: Regions to count, see `Settings`.
        bins: See `fine_bins`.
        with_classes: Also count every class against the rest.
        with_scores: Also sum up what the Brier score and the log likelihood need.
        with_mass: Also count what bins of equal numbers of voxels are made of.
        executor: Counts chunks of voxels side by side.
    """

    def __init__(
        self,
        classes: Sequence[str | None],
        *,
        exclusive: bool,
        regions: Sequence[Region],
        bins: int,
        with_classes: bool = True,
        with_scores: bool = True,
        with_mass: bool = False,
        executor: Executor | None = None,
    ) -> None:
        self.exclusive, self.bins, self.names = exclusive, bins, tuple(classes)
        self.with_classes, self.with_scores = with_classes or not exclusive, with_scores
        self.regions, self._executor = tuple(regions), executor
        self.with_mass = with_mass
        self._parts = [self._empty() for _ in range(len(self.names) + 1)]

    def _empty(self) -> Calibration:
        return Calibration(
            regions={
                name: BinCounts(
                    voxels=np.zeros((2, self.bins), dtype=np.int64),
                    confidence=np.zeros(self.bins, dtype=np.int64),
                    mass=MassCounts() if self.with_mass else None,
                )
                for name in self.regions
            }
        )

    def add(
        self,
        probabilities: npt.NDArray[np.floating],
        target: npt.NDArray[np.integer] | npt.NDArray[np.bool_],
        regions: Mapping[Region, npt.NDArray[np.bool_] | None],
    ) -> None:
        """Adds voxels.

        Args:
            probabilities: [c, n], 0 … 1.
            target: [n] channel of each voxel, negative where it does not count; of channels that
                stand for themselves [c, n] truth values.
            regions: Region → [n] voxels that belong to it; None: all.

        Raises:
            ValueError: The values are no probabilities; the message says why.
        """
        starts = range(0, probabilities.shape[1], CHUNK)

        def count(start: int) -> list[Calibration]:
            part = slice(start, start + CHUNK)
            masks = {name: None if mask is None else mask[part] for name, mask in regions.items()}
            return self._count_chunk(probabilities[:, part], target[..., part], masks)

        done = map(count, starts) if self._executor is None else self._executor.map(count, starts)
        for parts in done:
            for own, added in zip(self._parts, parts, strict=True):
                own.add(added)

    def _count_chunk(
        self,
        probabilities: npt.NDArray[np.floating],
        target: npt.NDArray[np.integer] | npt.NDArray[np.bool_],
        masks: dict[Region, npt.NDArray[np.bool_] | None],
    ) -> list[Calibration]:
        values = probabilities.astype(np.float32, copy=False)
        fault = probability_fault(values, exclusive=self.exclusive)
        if fault:
            raise ValueError(fault)
        parts = [self._empty() for _ in range(len(self.names) + 1)]
        if self.exclusive:
            counted = np.asarray(target >= 0)
            if not counted.all():
                masks = {name: _and(mask, counted) for name, mask in masks.items()}
            self._count_top(parts[-1], values, target.astype(np.int64, copy=False), masks)
        if self.with_classes:
            for channel, value in enumerate(values):
                right = np.asarray(target == channel if self.exclusive else target[channel])
                of_truth = np.where(right, value, 1 - value) if self.with_scores else None
                squares = None if of_truth is None else (1 - of_truth) ** 2
                self._count(parts[channel], value, right, (squares, of_truth), masks)
        return parts

    def _count_top(
        self,
        part: Calibration,
        values: Floats,
        target: Integers,
        masks: Mapping[Region, npt.NDArray[np.bool_] | None],
    ) -> None:
        kind = np.min_scalar_type(len(values) - 1)
        best, label = values[0].copy(), np.zeros(values.shape[1], dtype=kind)
        for channel in range(1, len(values)):
            value = values[channel]
            label[value > best] = channel
            np.maximum(best, value, out=best)
        squares = of_truth = None
        if self.with_scores:
            place = np.maximum(target, 0)[None]
            of_truth = np.take_along_axis(values, place, axis=0)[0]
            squares = np.einsum("cn,cn->n", values, values) + 1 - 2 * of_truth
        self._count(part, best, label == target, (squares, of_truth), masks)

    def _count(
        self,
        part: Calibration,
        confidence: Floats,
        right: npt.NDArray[np.bool_],
        scores: tuple[Floats | None, Floats | None],
        masks: Mapping[Region, npt.NDArray[np.bool_] | None],
    ) -> None:
        exact = confidence.astype(np.float64)
        place = np.minimum((exact * self.bins).astype(np.int32), self.bins - 1)
        exact *= FIXED
        fixed = np.rint(exact, out=exact)
        squares, of_truth = scores
        fine = find_places(confidence) if self.with_mass else None
        for name, mask in masks.items():
            counts, chosen = part.regions[name], slice(None) if mask is None else mask
            at = place[chosen]
            counts.confidence += np.bincount(at, fixed[chosen], self.bins).astype(np.int64)
            hits = np.bincount(at[right[chosen]], minlength=self.bins)
            counts.voxels += np.stack((np.bincount(at, minlength=self.bins) - hits, hits))
            if counts.mass is not None and fine is not None:
                counts.mass.count(fine[chosen], fixed[chosen], right[chosen])
            if squares is not None and of_truth is not None:
                error = squares[chosen].astype(np.float64)
                counts.squares += int(np.rint(error * FIXED).sum())
                logs = -np.log(np.maximum(of_truth[chosen], SMALLEST)).astype(np.float64)
                counts.logs += int(np.rint(logs * FIXED_LOG).sum())

    def result(self) -> tuple[Calibration | None, dict[str, Calibration]]:
        """Calibration of all classes together (None: channels are not exclusive), and of each."""
        channels, top = self._parts[:-1], self._parts[-1]
        named = {
            name: item
            for name, item in zip(self.names, channels, strict=True)
            if name is not None and self.with_classes
        }
        if not self.exclusive:
            return None, named
        return Calibration(regions=top.regions, classes=tuple(channels)), named


def _and(
    mask: npt.NDArray[np.bool_] | None, counted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    return counted if mask is None else mask & counted
