"""Reads and writes NRRD files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoseg.images.compressed import write_packed
from autoseg.images.nrrd_header import read_header
from autoseg.images.stored_voxels import read_voxels
from autoseg.images.writing import whole_file
from autoseg.schema.geometry import Geometry

Array = npt.NDArray[np.generic]
MAGIC = b"NRRD00"

_TYPES = {
    "u1": "unsigned char", "i1": "signed char", "u2": "unsigned short", "i2": "short",
    "u4": "unsigned int", "i4": "int", "u8": "unsigned long long", "i8": "long long",
}  # fmt: skip


def read_nrrd(path: Path) -> tuple[Array, Geometry]:
    """Reads a NRRD file; voxels beside the header too.

    Returns:
        The voxels [c, z, y, x], and the geometry.

    Raises:
        ImageError: It is damaged, or not supported.
    """
    header = read_header(path)
    values = read_voxels(header.stored).reshape(header.sizes[::-1])
    if header.channel_axis is not None:
        axis = len(header.sizes) - 1 - header.channel_axis
        values = np.moveaxis(values, axis, 0)
        return values.reshape(values.shape[0], *header.geometry.shape), header.geometry
    return values.reshape(1, *header.geometry.shape), header.geometry


def write_nrrd(path: Path, labels: npt.NDArray[np.integer], geometry: Geometry) -> None:
    """Writes a label map [z, y, x]."""
    axes = geometry.dimensions
    columns = np.reshape(geometry.direction, (axes, axes)) * geometry.spacing_mm[: -1 - axes : -1]
    space = "space dimension: 2" if axes == 2 else "space: left-posterior-superior"
    lines = [
        "NRRD0004",
        f"type: {_TYPES[labels.dtype.str[1:]]}",
        f"dimension: {axes}",
        space,
        f"sizes: {' '.join(map(str, labels.shape[: -1 - axes : -1]))}",
        f"space directions: {' '.join(_vector(column) for column in columns.T)}",
        f"kinds: {' '.join(['domain'] * axes)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(geometry.origin_mm)}",
    ]
    stored = labels.astype(labels.dtype.newbyteorder("<"), copy=False)
    with whole_file(path, read_header) as stream:
        stream.write("\n".join([*lines, "", ""]).encode())
        write_packed(stream, [stored], "gzip")


def _vector(values: npt.ArrayLike) -> str:
    return "(" + ",".join(repr(float(value)) for value in np.asarray(values)) + ")"
