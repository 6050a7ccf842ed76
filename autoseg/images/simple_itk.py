"""Images that are in memory as SimpleITK's, and files that ITK reads and writes for us."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from autoseg.errors import ImageError
from autoseg.images.faults import image_faults
from autoseg.schema.geometry import Geometry
from autoseg.schema.serialise import atomic_path

Array = npt.NDArray[np.generic]

NO_SPACING = (999.0, 1.0, 1.0)
"""Spacing (z, y, x) of 2D images, whose slice axis means nothing."""

_READERS = {".png": "PNGImageIO", ".bmp": "BMPImageIO"}

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
        ImageError: The channels differ in shape, or one cannot be used.
    """
    read = [_to_array(image, Path("image")) for image in images]
    faults = [fault for image in read for fault in image_faults(*image, Path("image"))]
    if len({array.shape[1:] for array, _ in read}) > 1:
        faults.append("image: the channels differ in shape.")
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


def read_picture(path: Path) -> tuple[Array, Geometry]:
    """Reads PNG, BMP and TIFF, which have no spacing.

    Raises:
        ImageError: It cannot be read.
    """
    try:
        image = sitk.ReadImage(str(path), imageIO=_READERS.get(path.suffix.lower(), "TIFFImageIO"))
    except RuntimeError as error:
        raise ImageError(f"{path}: cannot be read ({_reason(error)}). Export it again.") from None
    return _to_array(image, path, is_picture=True)


def write_picture(path: Path, labels: npt.NDArray[np.integer], geometry: Geometry) -> None:
    """Writes a label map as PNG, BMP or TIFF.

    Raises:
        ImageError: It cannot be written.
    """
    if labels.dtype == np.int32 and path.suffix.lower() in _READERS:
        raise ImageError(f"{path}: labels above 65535 do not fit into this format; use .nii.gz.")
    try:
        with atomic_path(path) as temporary:
            sitk.WriteImage(to_sitk(labels, geometry), str(temporary), useCompression=True)
    except RuntimeError as error:
        raise ImageError(f"{path}: cannot be written ({_reason(error)}).") from None


def _to_array(image: sitk.Image, path: Path, *, is_picture: bool = False) -> tuple[Array, Geometry]:
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
        in_plane = NO_SPACING[1:] if is_picture else (spacing[1], spacing[0])
        spacing_zyx = (max(in_plane) * NO_SPACING[0], *in_plane)
    else:
        spacing_zyx = (spacing[2], spacing[1], spacing[0])
    geometry = Geometry(
        shape=array.shape[1:],
        spacing_mm=tuple(float(value) for value in spacing_zyx),  # type: ignore[arg-type]
        origin_mm=tuple(float(value) for value in origin),
        direction=tuple(float(value) for value in direction.flat),
        dimensions=dimensions,
    )
    return array, geometry


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else "unknown reason"
    for line in lines:
        if "Error" in line or "error" in line:
            text = line
    return " ".join(text.replace("sitk::ERROR:", "").split())[:160]
