"""Reads and writes MetaImage files: .mha, and .mhd with its voxels beside it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.images.compressed import write_packed
from autoseg.images.metaimage_header import TYPES, read_header
from autoseg.images.stored_voxels import read_voxels
from autoseg.images.writing import whole_file, whole_files
from autoseg.schema.geometry import Geometry

Array = npt.NDArray[np.generic]


def read_metaimage(path: Path) -> tuple[Array, Geometry]:
    """Reads a MetaImage file; voxels beside the header too.

    Returns:
        The voxels [c, z, y, x], and the geometry.

    Raises:
        ImageError: It is damaged, or not supported.
    """
    header = read_header(path)
    values = read_voxels(header.stored)
    space = header.geometry.shape
    if header.values > 1:
        return np.moveaxis(values.reshape(*space, header.values), -1, 0), header.geometry
    return values.reshape(-1, *space), header.geometry


def write_metaimage(path: Path, labels: npt.NDArray[np.integer], geometry: Geometry) -> None:
    """Writes a label map [z, y, x]; beside an .mhd its voxels as .zraw."""
    packed = io.BytesIO()
    stored = labels.astype(labels.dtype.newbyteorder("<"), copy=False)
    size = write_packed(packed, [stored], "zlib")
    if path.suffix.lower() != ".mhd":
        with whole_file(path, read_header) as stream:
            stream.write(_header(labels, geometry, size, "LOCAL"))
            stream.write(packed.getbuffer())
        return
    voxels = path.with_suffix(".zraw")
    # The header gets its name last: what has a header has its voxels.
    with whole_files({path: _is_header, voxels: Path.stat}) as (header, stream):
        header.write(_header(labels, geometry, size, voxels.name))
        stream.write(packed.getbuffer())


def _header(
    labels: npt.NDArray[np.integer], geometry: Geometry, size: int, data_file: str
) -> bytes:
    axes = geometry.dimensions
    matrix = np.reshape(geometry.direction, (axes, axes)).T
    kind = next(name for name, code in TYPES.items() if code == labels.dtype.str[1:])
    lines = [
        "ObjectType = Image",
        f"NDims = {axes}",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {size}",
        f"TransformMatrix = {_numbers(matrix)}",
        f"Offset = {_numbers(geometry.origin_mm)}",
        f"CenterOfRotation = {_numbers(np.zeros(axes))}",
        f"ElementSpacing = {_numbers(geometry.spacing_mm[: -1 - axes : -1])}",
        f"DimSize = {' '.join(map(str, labels.shape[: -1 - axes : -1]))}",
        f"ElementType = {kind}",
        f"ElementDataFile = {data_file}",
    ]
    return "".join(line + "\n" for line in lines).encode()


def _numbers(values: npt.ArrayLike) -> str:
    return " ".join(repr(float(value)) for value in np.asarray(values).flat)


def _is_header(path: Path) -> None:
    """Its voxels have their name only later, so that only the end is looked for."""
    if b"\nElementDataFile = " not in path.read_bytes():
        raise ImageError(f"{path}: cannot be written (its header is not what was written).")
