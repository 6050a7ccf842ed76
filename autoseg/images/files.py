"""Reading and writing images: arrays (c, z, y, x) with a Geometry.

The only place that knows SimpleITK and the order of its axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from autoseg.errors import ImageError
from autoseg.images import nifti_faults
from autoseg.images.pictures import read_picture, write_picture
from autoseg.schema.geometry import Geometry
from autoseg.schema.serialise import atomic_path

FILE_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png", ".tif", ".tiff", ".bmp")
NATURAL_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
_READERS = {
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}

Array = npt.NDArray[np.generic]

# Several cases are read at a time; more threads in each only get in each other's way.
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read_image(path: Path, *, num_channels: int | None = None) -> tuple[Array, Geometry]:
    """Reads one file.

    Args:
        path: NIfTI, NRRD, MetaImage, PNG, TIFF or BMP; 2D, 3D, or with several channels.
        num_channels: Channels that it should have, where that is known: decides how pictures
            are read that can be read in several ways. The result may have another number.

    Returns:
        The voxels [c, z, y, x] in the file's type, and the geometry.

    Raises:
        ImageError: The file is missing, truncated or of an unknown format.
    """
    if not path.is_file():
        raise ImageError(f"{path}: no such file.")
    if path.name.lower().endswith(NATURAL_ENDINGS):
        return read_picture(path, num_channels=num_channels)
    if nifti_faults.is_nifti(path) and (fault := nifti_faults.truncation(path)):
        raise ImageError(f"{path}: cannot be read ({fault}). Export it again.")
    try:
        image = _read(path)
    except RuntimeError as error:
        raise ImageError(f"{path}: cannot be read ({_reason(error)}). Export it again.") from None
    return _to_array(image, path)


def read_label_map(path: Path) -> tuple[Array, Geometry]:
    """Reads a label map: as `read_image`, but a palette's index is the label, not its colours.

    Raises:
        ImageError: The file is missing, damaged or of an unknown format.
    """
    if path.is_file() and path.name.lower().endswith(NATURAL_ENDINGS):
        return read_picture(path, is_label_map=True)
    return read_image(path)


def _read(path: Path) -> sitk.Image:
    """Reads with the reader that the ending names, which spares ITK asking all of its readers."""
    reader = next(
        (name for ending, name in _READERS.items() if path.name.lower().endswith(ending)), ""
    )
    try:
        return sitk.ReadImage(str(path), imageIO=reader)
    except RuntimeError:
        return sitk.ReadImage(str(path))  # the file may be something else than its name says


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else "unknown reason"
    for line in lines:
        if "Error" in line or "error" in line:
            text = line
    return " ".join(text.replace("sitk::ERROR:", "").split())[:160]


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
        spacing_zyx = (max(in_plane) * 999.0, *in_plane)
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


def read_case(
    paths: tuple[Path, ...], *, num_channels: int | None = None
) -> tuple[npt.NDArray[np.float32], Geometry]:
    """Reads all channels of a case.

    Args:
        paths: One file per channel, or one file with all channels.
        num_channels: Channels that the case should have, where that is known, see `read_image`.

    Returns:
        [c, z, y, x] float32 and the geometry of the first file.

    Raises:
        ImageError: A file cannot be read, or the channels differ in shape.
    """
    wanted = num_channels if len(paths) == 1 else 1 if len(paths) == num_channels else None
    read = [read_image(path, num_channels=wanted) for path in paths]
    shapes = {array.shape[1:] for array, _ in read}
    if len(shapes) > 1:
        listed = ", ".join(
            f"{path.name} {array.shape[1:]}" for path, (array, _) in zip(paths, read, strict=True)
        )
        raise ImageError(f"{paths[0].parent}: the channels differ in shape ({listed}).")
    arrays = [array.astype(np.float32, copy=False) for array, _ in read]
    return (arrays[0] if len(arrays) == 1 else np.concatenate(arrays)), read[0][1]


def write_labels(path: Path, labels: npt.NDArray[np.integer], geometry: Geometry) -> None:
    """Writes a label map atomically.

    Args:
        path: Target; the ending chooses the format.
        labels: [z, y, x] integers.
        geometry: Geometry of the image that was segmented.

    Raises:
        ImageError: The format cannot be written.
    """
    if path.name.lower().endswith(NATURAL_ENDINGS):
        write_picture(path, labels, geometry)
        return
    array = labels[0] if geometry.dimensions == 2 else labels
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    _set_geometry(image, geometry)
    try:
        if path.suffix == ".mhd":  # header and data are two files that name each other
            sitk.WriteImage(image, str(path), useCompression=True)
            return
        with atomic_path(path) as temporary:
            sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=1)
    except RuntimeError as error:
        raise ImageError(f"{path}: cannot be written ({_reason(error)}).") from None


def _set_geometry(image: sitk.Image, geometry: Geometry) -> None:
    depth, height, width = geometry.spacing_mm
    image.SetSpacing((width, height, depth)[: geometry.dimensions])
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)


def from_sitk(images: Sequence[sitk.Image]) -> tuple[npt.NDArray[np.float32], Geometry]:
    """All channels of a case from SimpleITK images.

    Args:
        images: One per channel, or one with all channels.

    Returns:
        [c, z, y, x] float32 and the geometry of the first image.

    Raises:
        ImageError: The channels differ in shape.
    """
    read = [_to_array(image, Path("image")) for image in images]
    if len({array.shape[1:] for array, _ in read}) > 1:
        raise ImageError("The channels differ in shape.")
    arrays = [array.astype(np.float32, copy=False) for array, _ in read]
    return np.concatenate(arrays), read[0][1]


def to_sitk(labels: npt.NDArray[np.integer], geometry: Geometry) -> sitk.Image:
    """A label map [z, y, x] as a SimpleITK image."""
    array = labels[0] if geometry.dimensions == 2 else labels
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    _set_geometry(image, geometry)
    return image


def is_natural(ending: str) -> bool:
    """True for formats of photographs, which have no spacing."""
    return ending.lower() in NATURAL_ENDINGS


def voxel_volume_ml(geometry: Geometry) -> float:
    """Volume of a voxel in ml; of a pixel, its area in cm² times 1 mm, for 2D images."""
    spacing = geometry.spacing_mm[1:] if geometry.dimensions == 2 else geometry.spacing_mm
    return math.prod(spacing) / 1000
