"""Label maps on disk: which files belong together, and what is in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from evaluation.errors import EvaluationError
from evaluation.files.nifti_faults import check_nifti

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png", ".tif", ".tiff", ".bmp")
NATURAL = (".png", ".tif", ".tiff", ".bmp")
TOLERANCE = 1e-3


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


def read_image(path: Path) -> sitk.Image:
    """Reads an image.

    Raises:
        EvaluationError: It cannot be read.
    """
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-140:]
        raise EvaluationError(f"{path}: cannot be read ({reason}).") from None


def read_label_map(path: Path) -> LabelMap:
    """Reads a label map.

    Raises:
        EvaluationError: It cannot be read or does not hold integers.
    """
    image = read_image(path)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        voxel_bytes = image.GetSizeOfPixelComponent() * image.GetNumberOfComponentsPerPixel()
        check_nifti(path, image.GetNumberOfPixels() * voxel_bytes)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise EvaluationError(f"{path}: has several channels; a label map has one.")
    labels = sitk.GetArrayFromImage(image)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all() or (np.rint(labels) != labels).any():
            raise EvaluationError(f"{path}: holds values that are no integers, or NaN.")
        labels = labels.astype(np.int64)
    return LabelMap(
        labels=labels,
        spacing_mm=tuple(reversed(image.GetSpacing())),
        origin_mm=image.GetOrigin(),
        direction=image.GetDirection(),
    )


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
