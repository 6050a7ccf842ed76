"""A pair of masks of one class and what several metrics need of it, computed once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evaluation.measures.boxes import Box, box_of, boxes_of
from evaluation.measures.grid import Grid
from evaluation.measures.lesions import Lesions, find_lesions
from evaluation.measures.surfaces import SurfaceDistances, border_voxels, measure, surface_elements
from evaluation.measures.voxel_counts import Counts
from evaluation.settings import Settings

Mask = npt.NDArray[np.bool_]


class MaskPair:
    """Reference and prediction of one class in one case.

    Both are cut to the box around their union: nothing that a metric looks at lies outside it, and
    the values do not depend on it.

    Args:
        reference: Mask, any number of dimensions.
        prediction: Mask of the same shape.
        spacing_mm: Per axis; None: 1.
        label: Name of the class.
        counts: Voxel counts, where they are known.
        diagonal_mm: Diagonal of the image, where the masks are cut already.
    """

    def __init__(
        self,
        reference: Mask,
        prediction: Mask,
        spacing_mm: Sequence[float] | None = None,
        *,
        label: str = "",
        counts: Counts | None = None,
        diagonal_mm: float | None = None,
    ) -> None:
        if reference.shape != prediction.shape:
            raise ValueError(
                f"shapes differ: reference {reference.shape}, prediction {prediction.shape}"
            )
        steps = (1.0,) * reference.ndim if spacing_mm is None else spacing_mm
        self.spacing_mm = tuple(float(step) for step in steps)
        is_given = all(0 < step < math.inf for step in self.spacing_mm)
        if len(self.spacing_mm) != reference.ndim or not is_given:
            raise ValueError(
                f"spacing {self.spacing_mm}: expected {reference.ndim} numbers above 0"
            )
        self.label = label
        size = reference.size
        grid = Grid(shape=reference.shape, spacing_mm=self.spacing_mm)
        self.diagonal_mm = grid.diagonal_mm if diagonal_mm is None else diagonal_mm
        box = box_of(reference | prediction)
        self.reference = np.ascontiguousarray(reference[box])
        self.prediction = np.ascontiguousarray(prediction[box])
        self.counts = counts or self._count(size)
        self._distances: dict[tuple[bool, int], SurfaceDistances] = {}
        self._lesions: dict[int, Lesions] = {}

    def _count(self, size: int) -> Counts:
        hit = int(np.count_nonzero(self.reference & self.prediction))
        missed = int(np.count_nonzero(self.reference)) - hit
        wrong = int(np.count_nonzero(self.prediction)) - hit
        return Counts(
            true_positive=hit,
            false_positive=wrong,
            false_negative=missed,
            true_negative=size - hit - missed - wrong,
        )

    @cached_property
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml (of a pixel: its area times 1 mm)."""
        return math.prod(self.spacing_mm) / 1000

    @property
    def empty(self) -> str | None:
        """Which masks are empty: "both", "one" or None."""
        has_reference, has_prediction = self.counts.reference > 0, self.counts.predicted > 0
        if has_reference and has_prediction:
            return None
        return "one" if has_reference or has_prediction else "both"

    def distances(self, settings: Settings) -> SurfaceDistances:
        """Distances between the surfaces that the settings name."""
        elements = settings.has_elements
        key = (elements, 0 if elements else settings.surface_connectivity)
        if key not in self._distances:
            if elements:
                first = surface_elements(self.reference, self.spacing_mm)
                second = surface_elements(self.prediction, self.spacing_mm)
            else:
                first = border_voxels(
                    self.reference, self.spacing_mm, settings.surface_connectivity
                )
                second = border_voxels(
                    self.prediction, self.spacing_mm, settings.surface_connectivity
                )
            self._distances[key] = measure(first, second, self.spacing_mm)
        return self._distances[key]

    def lesions(self, connectivity: int) -> Lesions:
        """Connected components of both masks and how they overlap."""
        if connectivity not in self._lesions:
            self._lesions[connectivity] = find_lesions(
                self.reference, self.prediction, connectivity
            )
        return self._lesions[connectivity]


def pairs(
    reference: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
    classes: Mapping[str, Sequence[int]],
    counts: Mapping[str, Counts],
    spacing_mm: Sequence[float],
    ignore: int | None = None,
) -> list[_Cut]:
    """What is needed to make the pair of each class, largest box first."""
    boxes = [boxes_of(reference), boxes_of(prediction)]
    result = []
    for name, members in classes.items():
        inside = [found[value] for found in boxes for value in members if value in found]
        box = _union(inside, reference.ndim)
        result.append(
            _Cut(reference, prediction, tuple(members), box, name, counts[name], spacing_mm, ignore)
        )
    return sorted(result, key=lambda cut: -math.prod(side.stop - side.start for side in cut.box))


class _Cut:
    """Makes the pair of one class from the label maps, when it is its turn."""

    def __init__(
        self,
        reference: npt.NDArray[np.integer],
        prediction: npt.NDArray[np.integer],
        members: tuple[int, ...],
        box: Box,
        name: str,
        counts: Counts,
        spacing_mm: Sequence[float],
        ignore: int | None,
    ) -> None:
        self.maps = (reference, prediction)
        self.members, self.box, self.name = members, box, name
        self.counts, self.spacing_mm, self.ignore = counts, spacing_mm, ignore
        grid = Grid(shape=reference.shape, spacing_mm=tuple(spacing_mm))
        self.diagonal_mm = grid.diagonal_mm

    def pair(self) -> MaskPair:
        """The masks of the class in their box."""
        parts = [labels[self.box] for labels in self.maps]
        reference, prediction = (_is_in(part, self.members) for part in parts)
        if self.ignore is not None:
            prediction &= parts[0] != self.ignore
        return MaskPair(
            reference,
            prediction,
            self.spacing_mm,
            label=self.name,
            counts=self.counts,
            diagonal_mm=self.diagonal_mm,
        )


def _is_in(labels: npt.NDArray[np.integer], members: tuple[int, ...]) -> Mask:
    mask = np.asarray(labels == members[0])
    for value in members[1:]:
        mask |= labels == value
    return mask


def _union(boxes: list[Box], dimensions: int) -> Box:
    if not boxes:
        return (slice(0, 0),) * dimensions
    return tuple(
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes))
        for axis in range(dimensions)
    )
