"""Patches: which case, which centre, which transform; then only those voxels are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autoseg.augmentation.spatial import Matrix, source_size
from autoseg.preprocessing.store import Store, StoredCase

Floats = npt.NDArray[np.float32]
ANNOTATED = "annotated"


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Voxels around a centre, large enough for the transform.

    Attributes:
        image: [c, *source_size] float32, 0 outside the case.
        labels: [*source_size] indices, 0 outside the case.
        matrix: Transform that turns it into the patch, or None.
    """

    image: Floats
    labels: npt.NDArray[np.integer]
    matrix: Matrix | None


class PatchSampler:
    """Draws training patches.

    Args:
        store: Preprocessed cases.
        cases: Cases to draw from, uniformly.
        patch_size: Voxels per axis; two axes draw slices along the first axis of a case.
    """

    def __init__(self, store: Store, cases: Sequence[str], patch_size: Sequence[int]) -> None:
        self.store = store
        self.cases = tuple(cases)
        self.patch_size = tuple(patch_size)

    def draw_case(self, rng: np.random.Generator) -> StoredCase:
        """Opens a random case."""
        return self.store.read(self.cases[int(rng.integers(len(self.cases)))])

    def draw_centre(
        self, rng: np.random.Generator, case: StoredCase, *, foreground: bool
    ) -> tuple[int, ...]:
        """Draws the centre of a patch.

        Args:
            rng: Source of all randomness.
            case: The case.
            foreground: Centre it on a random voxel of a random class that the case has.
        """
        classes = [name for name in case.locations if name != ANNOTATED]
        if foreground and classes:
            return self._random_voxel(rng, case, classes[int(rng.integers(len(classes)))])
        if ANNOTATED in case.locations:
            return self._random_voxel(rng, case, ANNOTATED)
        sizes = (1,) * (len(case.shape) - len(self.patch_size)) + self.patch_size
        return tuple(
            size // 2
            if size <= need
            else int(rng.integers(need // 2, size - (need - need // 2) + 1))
            for size, need in zip(case.shape, sizes, strict=True)
        )

    def _random_voxel(
        self, rng: np.random.Generator, case: StoredCase, name: str
    ) -> tuple[int, ...]:
        """A stored voxel of a class, moved so that the patch stays in the case where it can."""
        voxels = case.locations[name]
        voxel = voxels[int(rng.integers(len(voxels)))]
        sizes = (1,) * (len(case.shape) - len(self.patch_size)) + self.patch_size
        centre = []
        for position, size, need in zip(voxel.tolist(), case.shape, sizes, strict=True):
            low, high = need // 2, size - (need - need // 2)
            centre.append(size // 2 if high < low else min(max(position, low), high))
        return tuple(centre)

    def read(self, case: StoredCase, centre: Sequence[int], matrix: Matrix | None) -> Patch:
        """Reads what the transformed patch covers."""
        size = source_size(matrix, self.patch_size)
        is_slice = len(size) < len(case.shape)
        extent = ((1,) if is_slice else ()) + size
        image = read_box(case.image, centre, extent, channels=True)
        labels = read_box(case.labels, centre, extent, channels=False)
        if is_slice:
            image, labels = image[:, 0], labels[0]
        return Patch(image=image, labels=labels, matrix=matrix)


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
