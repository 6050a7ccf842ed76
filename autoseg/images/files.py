"""Reading and writing image files of all formats: arrays (c, z, y, x) with a Geometry."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.images.compressed import unreadable
from autoseg.images.faults import grid_faults, image_faults, image_warnings
from autoseg.images.metaimage import read_metaimage, write_metaimage
from autoseg.images.nifti import read_nifti, write_nifti
from autoseg.images.nrrd import MAGIC as NRRD_MAGIC
from autoseg.images.nrrd import read_nrrd, write_nrrd
from autoseg.images.pictures import read_picture, write_picture
from autoseg.images.simple_itk import from_sitk, to_sitk
from autoseg.schema.geometry import Geometry

__all__ = [
    "FILE_ENDINGS",
    "Array",
    "from_sitk",
    "is_natural",
    "read_case",
    "read_image",
    "read_label_map",
    "to_sitk",
    "voxel_volume_ml",
    "write_labels",
]

Array = npt.NDArray[np.generic]
Reader = Callable[[Path], tuple[Array, Geometry]]
Writer = Callable[[Path, npt.NDArray[np.integer], Geometry], None]

NATURAL_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
FORMATS: dict[str, tuple[Reader, Writer]] = {
    ".nii.gz": (read_nifti, write_nifti),
    ".nii": (read_nifti, write_nifti),
    ".nrrd": (read_nrrd, write_nrrd),
    ".mha": (read_metaimage, write_metaimage),
    ".mhd": (read_metaimage, write_metaimage),
    **dict.fromkeys(NATURAL_ENDINGS, (read_picture, write_picture)),
}
"""Ending → how it is read and written."""

FILE_ENDINGS = tuple(FORMATS)

_BEGINNINGS: dict[bytes, Reader] = {
    NRRD_MAGIC: read_nrrd,
    b"ObjectType": read_metaimage,
}
"""First bytes of files that may be something else than their name says."""


def read_image(path: Path, *, num_channels: int | None = None) -> tuple[Array, Geometry]:
    """Reads one file, to its end: a damaged one is not read without a word.

    Args:
        path: NIfTI, NRRD, MetaImage, PNG, TIFF or BMP; 2D, 3D, or with several channels.
        num_channels: Channels that the image should have, where that is known: of pictures those
            that tell nothing are left out to reach it, see `pictures.read_picture`.

    Returns:
        The voxels [c, z, y, x] in the file's type, and the geometry.

    Raises:
        ImageError: The file is missing, damaged, of an unknown format, or has no usable geometry.
    """
    if not path.is_file():
        raise ImageError(f"{path}: no such file.")
    if is_natural(path.suffix):
        return read_picture(path, num_channels=num_channels)
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
        reader = next(
            (reader for magic, reader in _BEGINNINGS.items() if start.startswith(magic)),
            _format(path)[0],
        )
        return reader(path)
    except OSError as error:
        raise unreadable(path, error.strerror or str(error), "") from None


def read_label_map(path: Path) -> tuple[Array, Geometry]:
    """Reads a label map: as `read_image`, but a palette's index is the label, not its colours.

    Raises:
        ImageError: The file is missing, damaged or of an unknown format.
    """
    if path.is_file() and is_natural(path.suffix):
        return read_picture(path, is_label_map=True)
    return read_image(path)


def _format(path: Path) -> tuple[Reader, Writer]:
    name = path.name.lower()
    found = next((FORMATS[ending] for ending in FILE_ENDINGS if name.endswith(ending)), None)
    if found is None:
        raise ImageError(f"{path}: is no image. Known: {', '.join(FILE_ENDINGS)}.")
    return found


def read_case(
    paths: tuple[Path, ...],
    *,
    num_channels: int | None = None,
    warn: Callable[[str], None] | None = None,
) -> tuple[npt.NDArray[np.float32], Geometry]:
    """Reads all channels of a case and checks them as planning does.

    Args:
        paths: One file per channel, or one file with all channels.
        num_channels: Channels that the case should have, where that is known, see `read_image`.
        warn: Gets what a user should know of them, a line each with its file.

    Returns:
        [c, z, y, x] float32 and the geometry of the first file.

    Raises:
        ImageError: A file cannot be read or used, or the channels lie on different grids.
    """
    wanted = num_channels if len(paths) == 1 else 1 if len(paths) == num_channels else None
    read = [(path, *read_image(path, num_channels=wanted)) for path in paths]
    faults = [
        fault for path, array, geometry in read for fault in image_faults(array, geometry, path)
    ]
    first_path, _, first = read[0]
    for path, _, geometry in read[1:]:
        is_picture = is_natural(path.suffix)
        faults += grid_faults(path, geometry, first_path, first, shape_only=is_picture)
    if faults:
        raise ImageError("\n".join(faults))
    if warn is not None:
        for path, array, geometry in read:
            for warning in image_warnings(array, geometry, path):
                warn(warning)
    arrays = [array.astype(np.float32, copy=False) for _, array, _ in read]
    return (arrays[0] if len(arrays) == 1 else np.concatenate(arrays)), first


def write_labels(path: Path, labels: npt.NDArray[np.integer], geometry: Geometry) -> None:
    """Writes a label map: it is there as a whole or not at all.

    A NIfTI label map of a NIfTI image carries the image's own placement, so that both lie
    together in every program; other formats get the geometry that this one computes with.

    Args:
        path: Target; the ending chooses the format.
        labels: [z, y, x] integers.
        geometry: Geometry of the image that was segmented.

    Raises:
        ImageError: The format cannot be written, or the disk is full.
    """
    if not is_natural(path.suffix) and labels.shape != geometry.shape:
        raise ImageError(f"{path}: labels {labels.shape} for an image of {geometry.shape}.")
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
    _format(path)[1](path, labels, geometry)


def is_natural(ending: str) -> bool:
    """True for formats of photographs, which have no spacing."""
    return ending.lower() in NATURAL_ENDINGS


def voxel_volume_ml(geometry: Geometry) -> float:
    """Volume of a voxel in ml; of a pixel, its area in cm² times 1 mm, for 2D images."""
    spacing = geometry.spacing_mm[1:] if geometry.dimensions == 2 else geometry.spacing_mm
    return math.prod(spacing) / 1000
