"""Images that are in memory as SimpleITK's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from autoseg.errors import ImageError
from autoseg.images.faults import image_faults
from autoseg.schema.geometry import Geometry, geometry_differences
from autoseg.schema.triple import triple

Array = npt.NDArray[np.generic]

NO_SPACING = (999.0, 1.0, 1.0)
"""Spacing (z, y, x) of 2D images, whose slice axis means nothing."""

# Several cases are read at a time; more threads in each only get in each other's way.
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def from_sitk(images: Sequence[sitk.Image]) -> tuple[npt.NDArray[np.float32], Geometry]:
    """All channels of a case from SimpleITK images.

    Args:
        images: One per channel, or one with all channels.

    Returns:
        [c, z, y, x] float32 and the geometry of the first image.

    Raises:
        ImageError: The channels lie on different grids, or one cannot be used.
    """
    read = [_to_array(image, Path("image")) for image in images]
    faults = [fault for image in read for fault in image_faults(*image, Path("image"))]
    for channel, (_, geometry) in enumerate(read[1:], start=1):
        if differences := geometry_differences(read[0][1], geometry):
            told = "; ".join(differences)
            faults.append(f"image: the channels 0 and {channel} differ: {told}. Resample one.")
    if faults:
        raise ImageError("\n".join(faults))
    arrays = [array.astype(np.float32, copy=False) for array, _ in read]
    return np.concatenate(arrays), read[0][1]


def to_sitk(labels: npt.NDArray[np.integer], geometry: Geometry) -> sitk.Image:
    """A label map [z, y, x] as a SimpleITK image."""
    array = labels[0] if geometry.dimensions == 2 else labels
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    depth, height, width = geometry.spacing_mm
    image.SetSpacing((width, height, depth)[: geometry.dimensions])
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    return image


def _to_array(image: sitk.Image, path: Path) -> tuple[Array, Geometry]:
    dimensions = image.GetDimension()
    components = image.GetNumberOfComponentsPerPixel()
    if dimensions not in (2, 3, 4):
        raise ImageError(f"{path}: has {dimensions} dimensions; 2, 3 or 4 are supported.")
    if dimensions == 4 and components > 1:
        raise ImageError(f"{path}: a 4D image with vectors per voxel is not supported.")
    array = sitk.GetArrayFromImage(image)
    if components > 1:
        array = np.moveaxis(array, -1, 0)
    elif dimensions < 4:
        array = array[None]
    spacing, origin = image.GetSpacing(), image.GetOrigin()
    direction = np.asarray(image.GetDirection()).reshape(dimensions, dimensions)
    if dimensions == 4:  # the fourth axis counts channels
        dimensions, spacing, origin, direction = 3, spacing[:3], origin[:3], direction[:3, :3]
    if dimensions == 2:
        array = array[:, None]
        in_plane = (spacing[1], spacing[0])
        spacing_zyx = (max(in_plane) * NO_SPACING[0], *in_plane)
    else:
        spacing_zyx = (spacing[2], spacing[1], spacing[0])
    geometry = Geometry(
        shape=array.shape[1:],
        spacing_mm=triple(float(value) for value in spacing_zyx),
        origin_mm=tuple(float(value) for value in origin),
        direction=tuple(float(value) for value in direction.flat),
        dimensions=dimensions,
    )
    return array, geometry
