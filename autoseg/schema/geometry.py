"""Where the voxels of an image lie in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from autoseg.schema.nifti_placement import NiftiPlacement
from autoseg.schema.orientation import ORIENTATIONS, PAIRS, Orientation, Turn, turn


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Shape, spacing, origin and direction of an image.

    Attributes:
        shape: Voxels per axis (z, y, x); a 2D image has z = 1.
        spacing_mm: Distance of voxel centres per axis (z, y, x).
        origin_mm: Centre of the first voxel in world coordinates (x, y, z), as ITK has it.
        direction: Direction cosines, row by row (x, y, z), as ITK has them.
        dimensions: 2 for a 2D image, else 3.
        nifti: What the image's own header says, for NIfTI files; a label map in that format
            repeats it. It plays no part in whether two geometries are equal.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]
    dimensions: int = 3
    nifti: NiftiPlacement | None = field(default=None, compare=False, repr=False)

    def orientation(self) -> Orientation:
        """Directions in which x, y and z grow, of oblique images those that are nearest."""
        if self.dimensions == 2:
            return "LPS"
        cosines = np.asarray(self.direction, dtype=float).reshape(3, 3)
        free = [0, 1, 2]
        # The clearest axis chooses first, so that an oblique image has three different letters.
        order = sorted(range(3), key=lambda axis: -np.abs(cosines[:, axis]).max())
        letters: dict[int, str] = {}
        for axis in order:
            world = max(free, key=lambda row: abs(cosines[row, axis]))
            free.remove(world)
            letters[axis] = PAIRS[world][int(cosines[world, axis] < 0)]
        name = "".join(letters[axis] for axis in range(3))
        return next(known for known in ORIENTATIONS if known == name)

    def turn_to(self, orientation: Orientation) -> Turn:
        """How the array comes into an orientation; 2D images are never turned."""
        return turn(self.orientation() if self.dimensions == 3 else orientation, orientation)

    def cropped(self, box: Sequence[slice]) -> Geometry:
        """Geometry of a part of the image: slices along z, y and x."""
        starts = np.asarray([part.start for part in box], dtype=float)[::-1][: self.dimensions]
        spacing = np.asarray(self.spacing_mm)[::-1][: self.dimensions]
        direction = np.asarray(self.direction, dtype=float).reshape(self.dimensions, -1)
        origin = np.asarray(self.origin_mm) + direction @ (starts * spacing)
        return replace(
            self,
            shape=tuple(part.stop - part.start for part in box),
            origin_mm=tuple(float(value) for value in origin),
            nifti=None,  # it places the whole image
        )


def geometry_differences(first: Geometry, second: Geometry, tolerance: float = 1e-3) -> list[str]:
    """Names, with both values, of what differs between two geometries.

    Spacing and direction are compared absolutely, the origin relative to the voxel size.
    """
    differences = []
    if first.shape != second.shape:
        differences.append(f"shape {first.shape} and {second.shape}")
    if not np.allclose(first.spacing_mm, second.spacing_mm, rtol=tolerance, atol=1e-6):
        differences.append(f"spacing {_short(first.spacing_mm)} and {_short(second.spacing_mm)} mm")
    limit = max(tolerance * max(first.spacing_mm), 1e-6)
    if len(first.origin_mm) == len(second.origin_mm):
        limit = max(limit, 0.01 * min(first.spacing_mm))
        if not np.allclose(first.origin_mm, second.origin_mm, rtol=1e-5, atol=limit):
            differences.append(f"origin {_short(first.origin_mm)} and {_short(second.origin_mm)}")
        if not np.allclose(first.direction, second.direction, rtol=0, atol=tolerance):
            differences.append(
                f"direction {_short(first.direction)} and {_short(second.direction)}"
            )
    return differences


def _short(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
