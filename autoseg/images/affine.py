"""From the vectors of a header to a Geometry: spacing, and directions at right angles."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.schema.geometry import Geometry

SHEAR_TOLERANCE_VOXELS = 0.1
"""By how much a right-angled grid may miss the file's own at any corner of the image."""

ROUNDING = 1e-4
"""Relative difference up to which two ways of writing the same spacing mean the same."""

FARTHEST_MM = 1e9
"""No image is larger or farther away; what is, is a damaged header."""

SLICES_APART = 999.0
"""2D images are a slice whose spacing is this many times that of their pixels."""

Floats = npt.NDArray[np.float64]


def make_geometry(
    path: Path,
    shape: Sequence[int],
    columns: Floats,
    origin: Sequence[float],
    spacing: Sequence[float] | Floats | None = None,
) -> Geometry:
    """Where an image lies.

    Args:
        path: Its file, for messages.
        shape: Voxels per axis (x, y) or (x, y, z).
        columns: [3, axes] mm, the step from one voxel to the next along each axis, as ITK counts
            the world: to the left, back and up.
        origin: Centre of the first voxel, mm.
        spacing: Lengths of the steps as the header has them besides; they are taken where they
            say the same with less rounding.

    Raises:
        ImageError: A spacing is zero or not finite, or the axes are not at right angles.
    """
    check_spacing(path, np.abs(columns).max(axis=0))
    lengths = np.sqrt((columns**2).sum(axis=0))
    if not (np.abs(np.asarray(origin, dtype=float)) < FARTHEST_MM).all():
        raise ImageError(f"{path}: its origin {_short(origin)} is not finite. Correct the header.")
    directions = _right_angled(path, shape, columns / lengths, lengths)
    if spacing is not None:
        stated = np.asarray(spacing, dtype=float)
        lengths = np.where(np.abs(stated - lengths) <= ROUNDING * lengths, stated, lengths)
    if len(shape) == 3:
        return Geometry(
            shape=(shape[2], shape[1], shape[0]),
            spacing_mm=(float(lengths[2]), float(lengths[1]), float(lengths[0])),
            origin_mm=tuple(float(value) + 0.0 for value in origin),
            direction=_row_by_row(directions),
        )
    rows = _plane(directions)
    in_plane = (float(lengths[1]), float(lengths[0]))
    return Geometry(
        shape=(1, shape[1], shape[0]),
        spacing_mm=(max(in_plane) * SLICES_APART, *in_plane),
        origin_mm=tuple(float(origin[row]) + 0.0 for row in rows),
        direction=_row_by_row(_nearest(directions[rows])),
        dimensions=2,
    )


def check_spacing(path: Path, spacing: Sequence[float] | Floats) -> None:
    """Refuses a spacing that no image has.

    Raises:
        ImageError: A value is not positive or not finite.
    """
    if not all(0 < step < FARTHEST_MM for step in spacing):
        raise ImageError(
            f"{path}: spacing {_short(spacing)} mm is not positive and finite. Correct the header."
        )


def _right_angled(path: Path, shape: Sequence[int], directions: Floats, lengths: Floats) -> Floats:
    """The nearest directions at right angles, where they are near enough."""
    if np.abs(directions.T @ directions - np.eye(len(shape))).max() <= 1e-6:
        return directions
    nearest = _nearest(directions)
    corners = np.array(list(itertools.product(*((0, size - 1) for size in shape)))).T
    apart = nearest.T @ (directions - nearest) @ (corners * lengths[:, None])
    voxels = float(np.abs(apart / lengths[:, None]).max())
    if voxels > SHEAR_TOLERANCE_VOXELS:
        raise ImageError(
            f"{path}: its axes are not at right angles; the nearest right-angled grid is "
            f"{voxels:.2g} voxels off at a corner, at most {SHEAR_TOLERANCE_VOXELS} are accepted. "
            "Resample image and labels to a right-angled grid."
        )
    return nearest


def _nearest(directions: Floats) -> Floats:
    """The orthonormal matrix that is nearest (polar decomposition)."""
    left, _, right = np.linalg.svd(directions, full_matrices=False)
    result: Floats = left @ right
    return result


def _plane(directions: Floats) -> list[int]:
    """The two world axes that a slice runs along most."""
    normal = np.abs(np.cross(directions[:, 0], directions[:, 1]))
    across = int(np.argmax(normal))
    return [row for row in range(3) if row != across]


def _row_by_row(matrix: Floats) -> tuple[float, ...]:
    return tuple(float(value) + 0.0 for value in matrix.flat)  # no negative zeros


def _short(values: Sequence[float] | Floats) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
