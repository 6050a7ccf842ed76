"""Surfaces of masks: border voxels, or elements between voxels with their areas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from evaluation.measures.boxes import neighbour_slices
from evaluation.measures.distances import nearest_distances, walking_margin

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Points of a surface on a grid.

    Attributes:
        points: [n] flat indices into the grid.
        weights: [n] area in mm² (in 2D length in mm) of each element; ones for border voxels.
        shape: Shape of the grid.
        margin: Free space behind each axis, which is part of the shape.
    """

    points: npt.NDArray[np.intp]
    weights: Floats
    shape: tuple[int, ...]
    margin: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SurfaceDistances:
    """Distances between two surfaces, both ways; infinite where the other one is empty.

    Attributes:
        to_prediction: [n] mm, of the reference's elements.
        to_reference: [m] mm, of the prediction's elements.
        reference_weights: [n].
        prediction_weights: [m].
    """

    to_prediction: Floats
    to_reference: Floats
    reference_weights: Floats
    prediction_weights: Floats


def measure(
    reference: Surface, prediction: Surface, spacing_mm: Sequence[float]
) -> SurfaceDistances:
    """Distances between two surfaces on the same grid."""
    first = _one_way(reference, prediction, spacing_mm)
    second = _one_way(prediction, reference, spacing_mm)
    return SurfaceDistances(
        to_prediction=first[0],
        to_reference=second[0],
        reference_weights=first[1],
        prediction_weights=second[1],
    )


def _one_way(
    source: Surface, target: Surface, spacing_mm: Sequence[float]
) -> tuple[Floats, Floats]:
    if not len(target.points) or not len(source.points):
        return np.full(len(source.points), np.inf), source.weights
    distances = nearest_distances(
        source.points, target.points, source.shape, spacing_mm, source.margin
    )
    return distances, source.weights


def border_voxels(mask: Mask, spacing_mm: Sequence[float], connectivity: int = 1) -> Surface:
    """Voxels of a mask that an erosion removes; voxels at the array's end belong to it.

    Args:
        mask: Any number of dimensions.
        spacing_mm: Per axis.
        connectivity: Neighbours of the erosion, 1 (faces) to the number of dimensions.
    """
    if connectivity == 1:
        inner = mask.copy()
        for axis in range(mask.ndim):
            low, high = neighbour_slices(mask.ndim, axis)
            inner[low] &= mask[high]
            inner[high] &= mask[low]
            ends = [slice(None)] * mask.ndim
            for end in (slice(0, 1), slice(-1, None)):
                ends[axis] = end
                inner[tuple(ends)] = False
    else:
        structure = ndimage.generate_binary_structure(mask.ndim, connectivity)
        inner = ndimage.binary_erosion(mask, structure)
    margin = walking_margin(mask.shape, spacing_mm)
    border = np.pad(mask & ~inner, [(0, extra) for extra in margin])
    points = np.flatnonzero(border)
    return Surface(points=points, weights=np.ones(len(points)), shape=border.shape, margin=margin)


def surface_elements(mask: Mask, spacing_mm: Sequence[float]) -> Surface:
    """Elements of the surface between voxels: one per 2×2(×2) cell whose corners differ.

    Their areas are those of the marching cubes' triangles in the cell, their positions the cells'
    centres (Nikolov et al. 2021, "Clinically applicable segmentation of head and neck anatomy").

    Args:
        mask: [z, y, x] or [y, x].
        spacing_mm: Per axis.
    """
    if mask.ndim not in (2, 3):
        raise ValueError(f"surface elements need 2 or 3 dimensions, not {mask.ndim}")
    margin = walking_margin(mask.shape, spacing_mm)
    code = np.pad(mask, [(1, 1 + extra) for extra in margin]).view(np.uint8)
    factor = 2
    for axis in reversed(range(mask.ndim)):
        low, high = neighbour_slices(mask.ndim, axis)
        code = code[low] * np.uint8(factor) + code[high]
        factor **= 2
    # The code of a cell has a bit per corner; all bits or none: no surface passes.
    points = np.flatnonzero((code - np.uint8(1)) < np.uint8(factor - 2))
    areas = _areas(tuple(float(step) for step in spacing_mm))
    weights = areas[code.ravel()[points]]
    return Surface(points=points, weights=weights, shape=code.shape, margin=margin)


@lru_cache(maxsize=64)
def _areas(spacing_mm: tuple[float, ...]) -> Floats:
    """Area (length) of the surface in a cell by the code of its corners."""
    if len(spacing_mm) == 2:
        return _lengths(spacing_mm)
    z, y, x = spacing_mm
    scale = np.array((y * x, z * x, z * y))
    table = np.zeros(256)
    for code, normals in enumerate(_normals()):
        table[code] = np.linalg.norm(normals * scale, axis=1).sum()
    return table


@lru_cache(maxsize=1)
def _normals() -> tuple[Floats, ...]:
    """Per corner code the normals of the triangles, as long as their areas, for unit spacing.

    A cell with more than four corners inside has the triangles of its complement, so that a mask
    and its background have the same surface.
    """
    from skimage.measure import marching_cubes

    weights = 1 << np.arange(7, -1, -1).reshape(2, 2, 2)
    result = []
    for code in range(256):
        inside = (code & weights) > 0
        if inside.sum() > 4:
            inside = ~inside
        if not inside.any():
            result.append(np.zeros((0, 3)))
            continue
        vertices, faces, _, _ = marching_cubes(inside.astype(np.float32), 0.5, method="lorensen")
        corners = vertices[faces].astype(np.float64)
        result.append(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2)
    return tuple(result)


def _lengths(spacing_mm: tuple[float, ...]) -> Floats:
    """Length of the contour in a 2×2 cell; its corners' bits: 8 4 / 2 1."""
    vertical, horizontal = spacing_mm
    diagonal = 0.5 * np.sqrt(vertical**2 + horizontal**2)
    table = np.full(16, diagonal)
    table[[0, 15]] = 0.0
    table[[0b0011, 0b1100]] = horizontal
    table[[0b0101, 0b1010]] = vertical
    table[[0b0110, 0b1001]] = 2 * diagonal
    return table
