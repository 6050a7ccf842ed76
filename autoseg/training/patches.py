"""Patches: which case, which centre, which transform; then only those voxels are read."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autoseg.augmentation.spatial import Matrix, source_size
from autoseg.errors import InputError
from autoseg.preprocessing.foreground import Voxels
from autoseg.preprocessing.slices import neighbours, slice_step
from autoseg.preprocessing.stage_store import StageStore
from autoseg.preprocessing.store import Store, StoredCase
from autoseg.schema.plan import Configuration

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Voxels around a centre, large enough for the transform.

    Attributes:
        image: [c, *source_size] float32, 0 outside the case; c counts neighbouring slices too.
        labels: [r, *source_size] indices, one map per rater of the case, 0 outside the case.
        previous: [p, *source_size] predictions of the previous stage, or None.
        matrix: Transform that turns it into the patch, or None.
    """

    image: Floats
    labels: npt.NDArray[np.integer]
    previous: npt.NDArray[Any] | None
    matrix: Matrix | None


class PatchSampler:
    """Draws training patches.

    Cases that nobody labelled are left out: no patch is drawn from them.

    Args:
        store: Preprocessed cases.
        cases: Cases to draw from, uniformly.
        configuration: Size of the patches, and where two-dimensional ones are taken.
        previous: Predictions of the previous stage, for configurations that have one.

    Raises:
        InputError: None of the cases is labelled.
    """

    def __init__(
        self,
        store: Store,
        cases: Sequence[str],
        configuration: Configuration,
        previous: StageStore | None = None,
    ) -> None:
        self.store = store
        self.cases = tuple(case for case in cases if store.raters(case))
        if cases and not self.cases:
            raise InputError(f"{store.folder}: none of the {len(cases)} cases is labelled.")
        self.patch_size = configuration.patch_size
        self.num_slices = configuration.num_slices
        self.slice_axis = configuration.slice_axis if configuration.dimensions == 2 else None
        self.slice_distance_mm = configuration.slice_distance_mm
        self.previous = previous
        self._steps: dict[str, int] = {}
        self._with_class: dict[str, list[str]] = {}
        if configuration.training.sampling == "class":
            for case in self.cases:
                for name in store.classes(case):
                    self._with_class.setdefault(name, []).append(case)
        self._extent = self._in_volume(self.patch_size)

    def with_own_cache(self, share: int) -> PatchSampler:
        """The same for another process, which gets one of `share` parts of the caches' memory."""
        copied = copy(self)
        copied.store = self.store.with_own_cache(share)
        if self.previous is not None:
            copied.previous = self.previous.with_own_cache(share)
        return copied

    def _in_volume(self, size: Sequence[int]) -> tuple[int, ...]:
        """Size of a patch in the volume: one slice where it is two-dimensional."""
        if self.slice_axis is None:
            return tuple(size)
        return (*size[: self.slice_axis], 1, *size[self.slice_axis :])

    def draw_case(self, rng: np.random.Generator) -> tuple[str, StoredCase]:
        """Opens a random case."""
        name = self.cases[int(rng.integers(len(self.cases)))]
        return name, self.store.read(name)

    def draw(
        self, rng: np.random.Generator, *, foreground: bool
    ) -> tuple[str, StoredCase, tuple[int, ...]]:
        """Draws a case and the centre of a patch in it.

        Args:
            rng: Source of all randomness.
            foreground: Centre it on a random voxel of a class.
        """
        if foreground and self._with_class:
            # Rare classes are seen as often as common ones, in whichever cases have them.
            classes = list(self._with_class)
            label = classes[int(rng.integers(len(classes)))]
            names = self._with_class[label]
            name = names[int(rng.integers(len(names)))]
            case = self.store.read(name)
            return name, case, self._random_voxel(rng, case, case.locations[label])
        name, case = self.draw_case(rng)
        return name, case, self.draw_centre(rng, case, foreground=foreground)

    def draw_centre(
        self, rng: np.random.Generator, case: StoredCase, *, foreground: bool
    ) -> tuple[int, ...]:
        """Draws the centre of a patch.

        Args:
            rng: Source of all randomness.
            case: The case.
            foreground: Centre it on a random voxel of a random class that the case has; else on
                any voxel, so that the borders of a case, where tiles lie when it is predicted, are
                seen as often as its middle.
        """
        classes = list(case.locations.values())
        if foreground and classes:
            return self._random_voxel(rng, case, classes[int(rng.integers(len(classes)))])
        if case.annotated is not None:
            return self._random_voxel(rng, case, case.annotated)
        return self._kept_inside(case, [int(rng.integers(size)) for size in case.shape])

    def _random_voxel(
        self, rng: np.random.Generator, case: StoredCase, voxels: Voxels
    ) -> tuple[int, ...]:
        """One of the voxels, moved so that the patch stays in the case where it can."""
        return self._kept_inside(case, voxels[int(rng.integers(len(voxels)))].tolist())

    def _kept_inside(self, case: StoredCase, voxel: Sequence[int]) -> tuple[int, ...]:
        """The voxel, moved so that a patch around it stays in the case where it can."""
        centre = []
        for position, size, need in zip(voxel, case.shape, self._extent, strict=True):
            low, high = need // 2, size - (need - need // 2)
            centre.append(size // 2 if high < low else min(max(position, low), high))
        return tuple(centre)

    def read(
        self,
        name: str,
        case: StoredCase,
        centre: Sequence[int],
        matrix: Matrix | None,
        size: Sequence[int] | None = None,
    ) -> Patch:
        """Reads what the transformed patch covers, or `size` voxels around the centre."""
        size = self._in_volume(source_size(matrix, self.patch_size) if size is None else size)
        assert case.labels is not None
        labels = read_box(case.labels, centre, size, channels=True)
        previous = None
        if self.previous is not None:
            previous = read_box(self.previous.read(name), centre, size, channels=True)
        if self.slice_axis is None:
            image = read_box(case.image, centre, size, channels=True)
        else:
            image = self._read_slices(name, case, centre, size, self.slice_axis)
            labels = labels.take(0, axis=self.slice_axis + 1)
        return Patch(image=image, labels=labels, previous=previous, matrix=matrix)

    def _read_slices(
        self, name: str, case: StoredCase, centre: Sequence[int], size: Sequence[int], axis: int
    ) -> Floats:
        """A slice with its neighbours as channels; the outermost slices are repeated."""
        step = self._slice_step(name, axis)
        wanted = neighbours(centre[axis], self.num_slices, case.shape[axis], step)
        low, count = int(wanted[0]), int(wanted[-1] - wanted[0]) + 1
        middle, extent = list(centre), list(size)
        middle[axis], extent[axis] = low + count // 2, count
        volume = read_box(case.image, middle, extent, channels=True)
        slices: Floats = np.moveaxis(volume.take(wanted - low, axis=axis + 1), axis + 1, 1)
        return slices.reshape(-1, *slices.shape[2:])

    def _slice_step(self, name: str, axis: int) -> int:
        """Slices from one neighbour to the next in a case."""
        if self.slice_distance_mm is None:
            return 1
        if name not in self._steps:
            spacing_mm = self.store.trace(name).target_mm[axis]
            self._steps[name] = slice_step(spacing_mm, self.slice_distance_mm)
        return self._steps[name]


def read_box(
    array: npt.NDArray[Any], centre: Sequence[int], size: Sequence[int], *, channels: bool
) -> npt.NDArray[Any]:
    """Reads a box around a centre, padded with 0 where it leaves the array.

    Args:
        array: [c, z, y, x] or [z, y, x]; an array on disk is read only where needed.
        centre: Voxel (z, y, x) at index size // 2 of the result.
        size: Shape of the result.
        channels: Whether there is a channel axis.
    """
    shape = array.shape[1:] if channels else array.shape
    start = [position - length // 2 for position, length in zip(centre, size, strict=True)]
    inside = tuple(
        slice(min(max(low, 0), limit), min(max(low + length, 0), limit))
        for low, length, limit in zip(start, size, shape, strict=True)
    )
    prefix = (slice(None),) if channels else ()
    part = np.asarray(array[(*prefix, *inside)])
    if part.shape[-len(size) :] == tuple(size):
        return part
    result = np.zeros((*part.shape[: len(prefix)], *size), dtype=part.dtype)
    target = tuple(
        # Empty where the box lies outside altogether.
        slice(max(piece.start - low, 0), max(piece.stop - low, 0))
        for piece, low in zip(inside, start, strict=True)
    )
    result[(*prefix, *target)] = part
    return result
