"""Label maps on disk: which files belong together, and what is in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError
from evaluation.files.image_files import ENDINGS, read_image
from evaluation.files.pictures import ENDINGS as NATURAL

TOLERANCE = 1e-3
ROUNDING = 1e-4
"""How far a floating point label may be from the integer that is meant."""
LARGEST = (1 << 63) - 1


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """A label map and its geometry.

    Attributes:
        labels: Integers, axes as in the file, last axis fastest.
        spacing_mm: Per axis of `labels`.
        origin_mm: Position of the first voxel (x, y, z).
        direction: Direction cosines.
    """

    labels: npt.NDArray[np.integer]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml (of a pixel: its area times 1 mm)."""
        return math.prod(self.spacing_mm) / 1000


def stem(name: str) -> str | None:
    """Name without its image ending, None where it is no image."""
    return next((name[: -len(ending)] for ending in ENDINGS if name.lower().endswith(ending)), None)


def list_label_maps(folder: Path) -> dict[str, Path]:
    """Case → file for a folder, or for one file.

    Raises:
        EvaluationError: There is nothing, or two files of one case.
    """
    if folder.is_file():
        name = stem(folder.name)
        if name is None:
            raise EvaluationError(f"{folder}: not an image. Known: {', '.join(ENDINGS)}.")
        return {name: folder}
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: no such file or folder.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = stem(path.name)
        if name is None or path.name.startswith("."):
            continue
        if name in found:
            raise EvaluationError(f"{path}: the case '{name}' is also there as {found[name].name}.")
        found[name] = path
    if not found:
        raise EvaluationError(f"{folder}: holds no label maps. Known: {', '.join(ENDINGS)}.")
    return found


def read_label_map(path: Path) -> LabelMap:
    """Reads a label map.

    Raises:
        EvaluationError: It cannot be read or does not hold integers.
    """
    image = read_image(path)
    if image.has_channels:
        raise EvaluationError(
            f"{path}: has several channels (or points in time), shape {image.array.shape}; a label "
            "map has one."
        )
    return LabelMap(
        labels=_integers(path, image.array, image.step),
        spacing_mm=image.spacing_mm,
        origin_mm=image.origin_mm,
        direction=image.direction,
    )


def _integers(path: Path, values: npt.NDArray[Any], step: float) -> npt.NDArray[np.integer]:
    """Labels as integers; of numbers with a scale those that are meant.

    A program that scales stores the nearest number that it can: half a step away at most.
    """
    if values.dtype.kind == "f":
        rounded = np.rint(values)
        # Where every step is a label (or many steps pass over labels), there is nothing to round.
        slack = max(ROUNDING, step / 2 * 1.001 if step <= 0.5 else 0.0)
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(values - rounded) <= slack)
        if wrong.any():
            value = float(values[wrong].flat[0])
            raise EvaluationError(
                f"{path}: holds values that are no integers, or NaN, such as {value!r}."
            )
        values = rounded
    elif values.dtype.kind not in "iu":
        raise EvaluationError(f"{path}: holds {values.dtype}; a label map holds integers.")
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < -LARGEST or high > LARGEST:
        extreme = low if low < -LARGEST else high
        raise EvaluationError(f"{path}: holds the label {extreme}; known are those below 2^63.")
    if values.dtype.kind == "f" or values.dtype == np.uint64:
        return values.astype(np.min_scalar_type(high) if 0 <= low <= high < 1 << 32 else np.int64)
    return values


def geometry_fault(reference: LabelMap, prediction: LabelMap, path: Path) -> str | None:
    """What differs between two label maps, in words, or None."""
    if reference.labels.shape != prediction.labels.shape:
        return f"shape {prediction.labels.shape}, the reference has {reference.labels.shape}"
    if path.name.lower().endswith(NATURAL):
        return None
    smallest = min(reference.spacing_mm)
    checks = (
        ("spacing", reference.spacing_mm, prediction.spacing_mm, TOLERANCE * smallest),
        ("origin", reference.origin_mm, prediction.origin_mm, 0.01 * smallest),
        ("direction", reference.direction, prediction.direction, TOLERANCE),
    )
    for name, expected, found, limit in checks:
        if not np.allclose(expected, found, rtol=1e-5, atol=limit):
            numbers = ", ".join(f"{value:.5g}" for value in found)
            wanted = ", ".join(f"{value:.5g}" for value in expected)
            return f"{name} ({numbers}), the reference has ({wanted})"
    return None
