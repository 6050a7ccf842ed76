"""Reads and writes NIfTI files, .nii and .nii.gz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoseg.images.compressed import Packing, image_bytes, write_packed
from autoseg.images.nifti_forms import place, placement_of
from autoseg.images.nifti_header import NiftiHeader, header_bytes, read_header
from autoseg.images.writing import whole_file
from autoseg.schema.geometry import Geometry

Array = npt.NDArray[np.generic]
SLAB_VALUES = 2**20


def read_nifti(path: Path) -> tuple[Array, Geometry]:
    """Reads a NIfTI file in one pass, checksum included.

    Args:
        path: NIfTI-1 or NIfTI-2, packed or not, whatever its name says.

    Returns:
        The voxels [c, z, y, x], NaN and infinity included, and the geometry.

    Raises:
        ImageError: The file is damaged, or says what no program could follow.
    """
    with image_bytes(path) as source:
        header = read_header(path, source)
        geometry = place(path, header.shape, header.placement)
        source.skip(header.offset - source.taken)
        raw = source.voxels(header.voxel_bytes)
        source.finish()
    values = _scaled(raw.view(header.dtype), header)
    space = geometry.shape
    if header.colours > 1:
        return np.moveaxis(values.reshape(*space, header.colours), -1, 0), geometry
    return values.reshape(header.channels, *space), geometry


def _scaled(values: npt.NDArray[Any], header: NiftiHeader) -> Array:
    """The values that the stored ones stand for, in this machine's byte order."""
    native = header.dtype.newbyteorder("=")
    if not header.slope or native.kind == "c":
        return values.astype(native, copy=False)
    is_wide = native.itemsize > 4 or (native.itemsize == 4 and native.kind != "f")
    result = np.empty(values.shape, np.float64 if is_wide else np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is found afterwards
        for start in range(0, len(values), SLAB_VALUES):
            part = slice(start, start + SLAB_VALUES)
            # Labels scaled by 1/255 are whole again only if the product is rounded once.
            result[part] = values[part].astype(np.float64) * header.slope + header.intercept
    return result


def write_nifti(path: Path, labels: npt.NDArray[np.integer], geometry: Geometry) -> None:
    """Writes a label map, with the image's own header where that is known.

    Args:
        path: Target, .nii or .nii.gz.
        labels: [z, y, x].
        geometry: Geometry of the image that was segmented.
    """
    placement = geometry.nifti or placement_of(geometry)
    shape = labels.shape[: -1 - placement.num_axes : -1]
    stored = labels.astype(labels.dtype.newbyteorder(placement.byte_order), copy=False)
    header = header_bytes(shape, stored.dtype, placement)
    packing: Packing = "gzip" if path.name.lower().endswith(".gz") else "none"
    with whole_file(path, read_nifti_header) as stream:
        write_packed(stream, [np.frombuffer(header, np.uint8), stored], packing)


def read_nifti_header(path: Path) -> NiftiHeader:
    """Reads only the header."""
    with image_bytes(path) as source:
        return read_header(path, source)
