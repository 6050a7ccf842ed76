"""A small synthetic data set: two organs of varying shape in noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dataset_conversion.writer import DatasetWriter

SHAPE = (32, 40, 36)
SPACING_MM = (1.5, 1.0, 1.0)


def write_synthetic(root: Path, *, num_cases: int = 20, seed: int = 0) -> None:
    """Writes a data set of 3D images with two labels.

    A bright ellipsoid and a darker one beside it, deformed, in smooth noise.

    Args:
        root: Folder to make.
        num_cases: Number of cases.
        seed: Seed of shapes and noise.
    """
    writer = DatasetWriter(
        root, channel_names=["MRI"], labels={"background": 0, "organ": 1, "vessel": 2}
    )
    for index in range(num_cases):
        rng = np.random.default_rng([seed, index])
        image, labels = synthetic_case(rng)
        writer.add(f"case_{index:03d}", [image], labels, spacing_mm=SPACING_MM)
    writer.finish()


def synthetic_case(
    rng: np.random.Generator, shape: tuple[int, ...] = SHAPE
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Makes one image and its label map, both of the given shape."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij"))
    bend = np.stack([_smooth(rng, shape) for _ in shape])
    grid = grid + 0.12 * bend
    labels = np.zeros(shape, dtype=np.uint8)
    centre = rng.uniform(-0.2, 0.05, len(shape))
    radius = rng.uniform(0.3, 0.5, len(shape))
    labels[_ellipsoid(grid, centre, radius)] = 1
    offset = np.zeros(len(shape))
    offset[-1] = radius[-1] + 0.15
    labels[_ellipsoid(grid, centre + offset, rng.uniform(0.15, 0.25, len(shape)))] = 2
    level = np.array([0.0, 1.0, 0.6])[labels] * rng.uniform(0.8, 1.2)
    image = ndimage.gaussian_filter(level, 0.7) + 0.25 * _smooth(rng, shape)
    image += rng.normal(0, 0.2, shape)
    return (100 * (image + 1)).astype(np.float32), labels


def _ellipsoid(
    grid: npt.NDArray[np.float64],
    centre: npt.NDArray[np.float64],
    radius: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    column = (-1,) + (1,) * (grid.ndim - 1)
    scaled = (grid - centre.reshape(column)) / radius.reshape(column)
    inside: npt.NDArray[np.bool_] = (scaled**2).sum(axis=0) < 1
    return inside


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Smooth noise with standard deviation 1."""
    noise: npt.NDArray[np.float64] = ndimage.gaussian_filter(rng.normal(size=shape), 5)
    scaled: npt.NDArray[np.float64] = noise / noise.std()
    return scaled
