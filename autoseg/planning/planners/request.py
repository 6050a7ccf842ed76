"""What the user asks a planner for, and the measures that planners start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import IntensityStatistics

CONFIGURATIONS = ("2d", "3d_fullres")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for.

    Attributes:
        configurations: Names, or empty for all that fit the data.
        network: plain, M, L or XL, or None for the planner's choice.
        seed: Seed of folds, weights and patches.
    """

    configurations: tuple[str, ...] = ()
    network: str | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Measures:
    """The numbers of a fingerprint that planning needs.

    Attributes:
        spacings: Per case (z, y, x).
        shapes: Per case after cropping (z, y, x).
        intensities: Per channel.
        relative_size_after_crop: Median share that the crop keeps.
        num_cases: Number of training cases.
        num_label_names: Names in dataset.json's labels, with background and ignore.
        object_mm: Diameter of the smallest class's objects, or None where nothing is labelled.
    """

    spacings: tuple[tuple[float, ...], ...]
    shapes: tuple[tuple[int, ...], ...]
    intensities: tuple[IntensityStatistics, ...]
    relative_size_after_crop: float
    num_cases: int
    num_label_names: int
    object_mm: float | None


def measures_of(dataset: Dataset, fingerprint: Fingerprint, *, canonical: bool) -> Measures:
    """Takes from a fingerprint what planning needs.

    Args:
        dataset: The data set.
        fingerprint: Its fingerprint.
        canonical: Axes as they are after all cases were turned to LPS.
    """
    spacings, shapes = [], []
    for record in fingerprint.cases.values():
        order = canonical_order(record.orientation) if canonical else (0, 1, 2)
        spacings.append(tuple(record.spacing_mm[axis] for axis in order))
        shapes.append(tuple(record.shape_after_crop[axis] for axis in order))
    return Measures(
        spacings=tuple(spacings),
        shapes=tuple(shapes),
        intensities=fingerprint.intensities,
        relative_size_after_crop=fingerprint.relative_size_after_crop,
        num_cases=len(dataset.cases),
        num_label_names=len(dataset.labels.classes) + 1 + (dataset.labels.ignore is not None),
        object_mm=object_diameter_mm(fingerprint),
    )


def object_diameter_mm(fingerprint: Fingerprint) -> float | None:
    """Diameter of a ball (disc) of the size of a class's largest component.

    The median over the cases of each class, of which the smallest.
    """
    diameters: dict[str, list[float]] = {}
    for record in fingerprint.cases.values():
        for value, label in record.labels.items():
            volume_mm3 = 1000 * label.component_ml[2]
            if record.dimensions == 2:
                diameter = 2 * float(np.sqrt(volume_mm3 / np.pi))
            else:
                diameter = float(np.cbrt(6 * volume_mm3 / np.pi))
            diameters.setdefault(value, []).append(diameter)
    return min((float(np.median(items)) for items in diameters.values()), default=None)


def canonical_order(orientation: str) -> tuple[int, int, int]:
    """For the LPS axes z, y, x: which array axis of an image with this orientation it is."""
    world = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}
    order = [0, 0, 0]
    for index_axis, letter in enumerate(orientation):
        order[2 - world[letter]] = 2 - index_axis
    return order[0], order[1], order[2]


def median_shape(measures: Measures, spacing: tuple[float, ...]) -> tuple[float, ...]:
    """Median over the cases of the shape at a spacing."""
    shapes = np.array(
        [
            np.round(np.asarray(have) / np.asarray(spacing) * np.asarray(shape)).astype(int)
            for have, shape in zip(measures.spacings, measures.shapes, strict=True)
        ]
    )
    return tuple(float(value) for value in np.median(shapes, axis=0))
