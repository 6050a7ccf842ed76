"""The numbers of a fingerprint that planning starts from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.orientation import Orientation, turn
from autoseg.schema.plan import Configuration, IntensityStatistics

ANISOTROPY = 3


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
        num_label_maps: Per case, one for each rater.
    """

    spacings: tuple[tuple[float, ...], ...]
    shapes: tuple[tuple[int, ...], ...]
    intensities: tuple[IntensityStatistics, ...]
    relative_size_after_crop: float
    num_cases: int
    num_label_names: int
    object_mm: float | None
    num_label_maps: tuple[int, ...]


def measures_of(
    dataset: Dataset, fingerprint: Fingerprint, orientation: Orientation | None
) -> Measures:
    """Takes from a fingerprint what planning needs.

    Args:
        dataset: The data set.
        fingerprint: Its fingerprint.
        orientation: Axes as they are after all cases were turned to it; None for no turn.
    """
    maps = {case.identifier: len(case.annotations) for case in dataset.cases}
    spacings, shapes = [], []
    for record in fingerprint.cases.values():
        order = (0, 1, 2)
        if orientation is not None and record.dimensions == 3:
            order, _ = turn(record.orientation, orientation)
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
        num_label_maps=tuple(maps.get(name, 1) for name in fingerprint.cases),
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


def median_shape(measures: Measures, spacing: tuple[float, ...]) -> tuple[float, ...]:
    """Median over the cases of the shape at a spacing."""
    shapes = np.array(
        [
            np.round(np.asarray(have) / np.asarray(spacing) * np.asarray(shape)).astype(int)
            for have, shape in zip(measures.spacings, measures.shapes, strict=True)
        ]
    )
    return tuple(float(value) for value in np.median(shapes, axis=0))


def target_spacing(measures: Measures) -> tuple[tuple[float, ...], str]:
    """Median spacing; the 10th percentile along a coarse axis of anisotropic data.

    Returns:
        Spacing (z, y, x) before transposition, and the reason.
    """
    spacings = np.array(measures.spacings)
    target = np.percentile(spacings, 50, axis=0)
    sizes = np.percentile(np.array(measures.shapes), 50, axis=0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    coarse = target[worst] > ANISOTROPY * target[others].max()
    thin = sizes[worst] * ANISOTROPY < sizes[others].min()
    reason = "median of the cases"
    if coarse and thin:
        value = np.percentile(spacings[:, worst], 10)
        if value < target[others].max():
            value = max(target[others].max(), value) + 1e-5
        target[worst] = value
        reason += "; 10th percentile along the coarse axis"
    return tuple(float(value) for value in target), reason


def transposition(spacing: Sequence[float]) -> tuple[int, int, int]:
    """The axis with the largest spacing first, the others in their order."""
    first = int(np.argmax(spacing))
    rest = [axis for axis in range(3) if axis != first]
    return first, rest[0], rest[1]


def stored_bytes(measures: Measures, configuration: Configuration) -> list[int]:
    """Size of every preprocessed case: float32 channels and label maps."""
    image = 4 * len(configuration.channels)
    voxels = _stored_voxels(measures, configuration)
    return [
        int(count * (image + maps))
        for count, maps in zip(voxels, measures.num_label_maps, strict=True)
    ]


def stage_bytes(measures: Measures, configuration: Configuration) -> list[int]:
    """Size of what earlier stages predict for every case: labels, or float16 probabilities."""
    stage = configuration.previous
    if stage is None:
        return []
    per_voxel = 2 * configuration.in_channels if stage.kind == "probabilities" else 1
    return [int(voxels * per_voxel) for voxels in _stored_voxels(measures, configuration)]


def _stored_voxels(measures: Measures, configuration: Configuration) -> Iterator[float]:
    """Voxels of every preprocessed case."""
    for spacing, shape in zip(measures.spacings, measures.shapes, strict=True):
        voxels = 1.0
        for axis, target in zip(configuration.transpose, configuration.spacing_mm, strict=True):
            voxels *= shape[axis] * (spacing[axis] / target if target else 1)
        yield voxels
