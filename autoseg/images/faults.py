"""What is wrong or odd in an image that could be read: for planning and prediction alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoseg.images.nifti_forms import DISAGREEMENT_VOXELS, disagreement_voxels, other_places
from autoseg.schema.geometry import Geometry, geometry_differences

Array = npt.NDArray[np.generic]


def image_faults(array: Array, geometry: Geometry, path: Path) -> list[str]:
    """Why an image cannot be used; empty for a good one.

    Args:
        array: [c, z, y, x], as it was read.
        geometry: Its geometry.
        path: Its file, or its name in messages.

    Returns:
        One line each, with the file and the remedy.
    """
    if array.size == 0:
        return [f"{path}: is empty (no voxels). Remove it or export it again."]
    faults = []
    if array.dtype.kind == "c":
        faults.append(f"{path}: holds complex numbers. Export magnitudes.")
    elif array.dtype.kind == "f" and (count := count_not_finite(array)):
        faults.append(f"{path}: holds NaN or infinity in {count} voxels. Replace them.")
    if not all(0 < step < np.inf for step in geometry.spacing_mm):
        listed = ", ".join(f"{step:g}" for step in geometry.spacing_mm[::-1])
        faults.append(f"{path}: spacing ({listed}) mm is not positive and finite. Correct it.")
    return faults


def image_warnings(array: Array, geometry: Geometry, path: Path) -> list[str]:
    """What a user should know of an image that can be used.

    Args:
        array: [c, z, y, x], as it was read.
        geometry: Its geometry.
        path: Its file, or its name in messages.

    Returns:
        One line each, with the file.
    """
    warnings = []
    flat = [str(i) for i, part in enumerate(array) if part.size and part.min() == part.max()]
    if flat:
        which = "all voxels" if len(flat) == len(array) else f"channel {', '.join(flat[:8])}"
        warnings.append(f"{path}: {which}: the same value everywhere. Was it exported rightly?")
    apart = disagreement_voxels(geometry)
    if apart > DISAGREEMENT_VOXELS:
        warnings.append(
            f"{path}: its sform and qform place it up to {apart:.1f} voxels apart. The sform is "
            "followed, the label map carries both."
        )
    if geometry.nifti is not None and min(geometry.nifti.pixdim[1 : 1 + geometry.dimensions]) < 0:
        warnings.append(f"{path}: its pixdim is negative; the size of each value is taken.")
    return warnings


def count_not_finite(array: Array) -> int:
    """Voxels that are NaN or infinite in float32, in which all is computed.

    Plane by plane, so that no large mask is made.
    """
    with np.errstate(over="ignore"):
        return sum(
            plane.size - int(np.count_nonzero(np.isfinite(plane.astype(np.float32, copy=False))))
            for channel in array
            for plane in channel
        )


def grid_faults(
    path: Path, geometry: Geometry, first_path: Path, first: Geometry, *, shape_only: bool
) -> list[str]:
    """Why a file does not belong to an image; empty where it does.

    Args:
        path: A channel, or a label map.
        geometry: Its geometry.
        first_path: The image, or its first channel.
        first: Its geometry.
        shape_only: Whether the format has no spacing.
    """
    differences = grid_differences(first, geometry, path)
    if shape_only:
        differences = [item for item in differences if item.startswith("shape")]
    if not differences:
        return []
    return [
        f"{path}: geometry differs from {first_path.name}: {'; '.join(differences)}. "
        "Resample or re-export the file, or remove the case."
    ]


def grid_differences(first: Geometry, second: Geometry, path: Path) -> list[str]:
    """What differs between an image's grid and that of a file that belongs to it.

    Where the forms of a NIfTI header disagree, programs write label maps that follow one or the
    other; each of them lies on its image.

    Args:
        first: Geometry of the image.
        second: Geometry of the other file.
        path: The other file.

    Returns:
        Names with both values; empty where they fit.
    """
    differences = geometry_differences(first, second)
    if not differences:
        return []
    firsts = [first, *other_places(path, first)]
    seconds = [second, *other_places(path, second)]
    agree = any(not geometry_differences(one, other) for one in firsts for other in seconds)
    return [] if agree else differences
