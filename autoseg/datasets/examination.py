"""Checks and measures one case; every file is read once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import cc3d
import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.images.faults import grid_faults, image_faults, image_warnings
from autoseg.images.files import (
    Array,
    is_natural,
    read_image,
    read_label_map,
    voxel_volume_ml,
)
from autoseg.preprocessing.crop import nonzero_box, slices
from autoseg.preprocessing.raters import encode_labels, majority
from autoseg.schema.dataset import Case
from autoseg.schema.fingerprint import CaseRecord, LabelRecord
from autoseg.schema.geometry import Geometry
from autoseg.schema.labels import LabelScheme
from autoseg.schema.triple import triple

NUM_QUANTILES = 2000
"""Foreground intensities per case that the statistics over all cases see."""


@dataclass(frozen=True, kw_only=True)
class Foreground:
    """Foreground intensities of one case and channel.

    Attributes:
        mean: Mean.
        square: Mean of the squares.
        minimum: Smallest.
        maximum: Largest.
        quantiles: NUM_QUANTILES evenly spread order statistics.
    """

    mean: float
    square: float
    minimum: float
    maximum: float
    quantiles: npt.NDArray[np.float32]


@dataclass(kw_only=True)
class Examination:
    """What was found in one case.

    Attributes:
        record: Measurements, or None where the case cannot be used.
        foreground: Per channel; empty where the case has no foreground.
        errors: Faults, each with its file.
        warnings: Oddities, each with its file.
    """

    record: CaseRecord | None = None
    foreground: list[Foreground] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Examine:
    """Examines cases; picklable, so that processes can do it.

    Attributes:
        channel_names: Channels of the data set.
        labels: Label scheme.
    """

    channel_names: tuple[str, ...]
    labels: LabelScheme

    def __call__(self, case: Case) -> Examination:
        """Reads all files of a case, checks them and measures them."""
        found = Examination()
        images = self._read_images(case, found)
        maps = [self._read_labels(path, images, found) for path in case.annotations]
        if found.errors or not images:
            return found
        encoded = [item for item in maps if item is not None]
        image = np.concatenate([array for _, array, _ in images])
        labels = majority(encoded, self.labels) if encoded else None
        if labels is not None:
            _measure(found, image, labels, images[0][2], self.labels)
        return found

    def _read_images(self, case: Case, found: Examination) -> list[tuple[Path, Array, Geometry]]:
        images: list[tuple[Path, Array, Geometry]] = []
        wanted = len(self.channel_names) if len(case.images) == 1 else 1
        for path in case.images:
            try:
                array, geometry = read_image(path, num_channels=wanted)
            except ImageError as error:
                found.errors.append(str(error))
                continue
            found.errors.extend(image_faults(array, geometry, path))
            found.warnings.extend(image_warnings(array, geometry, path))
            if images:
                found.errors.extend(_geometry_faults(path, geometry, *images[0][::2]))
            images.append((path, array, geometry))
        if len(images) == len(case.images):
            channels = sum(array.shape[0] for _, array, _ in images)
            if channels != len(self.channel_names):
                found.errors.append(
                    f"{case.images[0]}: case '{case.identifier}' has {channels} channels, "
                    f"dataset.json names {len(self.channel_names)} "
                    f"({', '.join(self.channel_names)})."
                )
        return images

    def _read_labels(
        self, path: Path, images: list[tuple[Path, Array, Geometry]], found: Examination
    ) -> npt.NDArray[np.integer] | None:
        try:
            array, geometry = read_label_map(path)
        except ImageError as error:
            found.errors.append(str(error))
            return None
        if images:
            found.errors.extend(_geometry_faults(path, geometry, *images[0][::2]))
        try:
            return encode_labels(array, path, self.labels)
        except ImageError as error:
            found.errors.append(str(error))
            return None


def _geometry_faults(
    path: Path, geometry: Geometry, first_path: Path, first: Geometry
) -> list[str]:
    """What differs between a file and the first image of its case."""
    is_picture = is_natural(path.suffix)
    return grid_faults(path, geometry, first_path, first, shape_only=is_picture)


def _measure(
    found: Examination,
    image: Array,
    labels: npt.NDArray[np.integer],
    geometry: Geometry,
    scheme: LabelScheme,
) -> None:
    box = nonzero_box(image)
    inside = np.ascontiguousarray(image[(slice(None), *slices(box))])
    cropped = np.ascontiguousarray(labels[slices(box)])
    found.record = CaseRecord(
        shape=geometry.shape,
        shape_after_crop=cropped.shape,
        spacing_mm=geometry.spacing_mm,
        dimensions=geometry.dimensions,
        orientation=geometry.orientation(),
        labels=_label_records(cropped, geometry, scheme),
        digest=_digest(image),
    )
    is_foreground = cropped > 0
    if scheme.ignore_index is not None:
        is_foreground &= cropped != scheme.ignore_index
    if is_foreground.any():
        found.foreground = [_foreground(channel[is_foreground]) for channel in inside]


def _digest(image: Array) -> str:
    """Hash of the voxels; nothing where all have one value, as those of many images have."""
    if (image == image.flat[0]).all():
        return ""
    return hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).hexdigest()


def _foreground(values: Array) -> Foreground:
    ordered = np.sort(values.astype(np.float64))
    positions = ((np.arange(NUM_QUANTILES) + 0.5) / NUM_QUANTILES * len(ordered)).astype(int)
    return Foreground(
        mean=float(ordered.mean()),
        square=float((ordered**2).mean()),
        minimum=float(ordered[0]),
        maximum=float(ordered[-1]),
        quantiles=ordered[positions].astype(np.float32),
    )


def _label_records(
    labels: npt.NDArray[np.integer], geometry: Geometry, scheme: LabelScheme
) -> dict[str, LabelRecord]:
    voxel_ml = voxel_volume_ml(geometry)
    num_labels = len(scheme.foreground_values) + 1
    foreground = np.flatnonzero(labels)
    values = labels.ravel()[foreground]
    kept = values < num_labels  # the ignore label is no class
    foreground, values = foreground[kept], values[kept]
    voxels = np.bincount(values, minlength=num_labels)
    coordinates = np.unravel_index(foreground, labels.shape)
    centroids = (
        np.stack(
            [
                np.bincount(values, weights=axis + 0.5, minlength=num_labels) / size
                for axis, size in zip(coordinates, labels.shape, strict=True)
            ],
            axis=1,
        )
        / np.maximum(voxels, 1)[:, None]
    )
    axes, flips = geometry.turn_to("LPS")
    sizes = _component_sizes(labels, num_labels)
    records = {}
    for index, raw in enumerate(scheme.foreground_values, start=1):
        if voxels[index] == 0:
            continue
        parts = sizes[index] * voxel_ml
        centroid = centroids[index]
        canonical = [
            1 - centroid[axis] if flip else centroid[axis]
            for axis, flip in zip(axes, flips, strict=True)
        ]
        records[str(raw)] = LabelRecord(
            voxels=int(voxels[index]),
            volume_ml=float(voxels[index] * voxel_ml),
            components=len(parts),
            component_ml=(float(parts.min()), float(np.median(parts)), float(parts.max())),
            centroid=triple(float(value) for value in centroid),
            centroid_lps=triple(float(value) for value in canonical),
        )
    return records


def _component_sizes(
    labels: npt.NDArray[np.integer], num_labels: int
) -> list[npt.NDArray[np.int64]]:
    """Voxels of every connected component, per label index."""
    components, count = cc3d.connected_components(labels, connectivity=26, return_N=True)
    counts = np.bincount(components.ravel(), minlength=count + 1)
    owner = np.zeros(count + 1, dtype=np.int64)
    # Every component has one label, so whichever of its voxels writes last says the same.
    owner[components.ravel()] = labels.ravel()
    return [counts[1:][owner[1:] == index] for index in range(num_labels)]
