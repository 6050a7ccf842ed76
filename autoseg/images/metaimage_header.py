"""MetaImage headers: text lines `Key = value` up to the one that says where the voxels are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from autoseg.errors import ImageError
from autoseg.images.affine import check_spacing, make_geometry
from autoseg.images.detached import beside, numbered
from autoseg.images.stored_voxels import FROM_END, StoredVoxels
from autoseg.schema.geometry import Geometry

MAX_HEADER_BYTES = 2**20
T = TypeVar("T")

TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2",
    "MET_INT": "i4", "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
"""MetaImage's names of types; the same with _ARRAY have several values per voxel."""

_SPACING = ("ElementSpacing", "ElementSize")
_ORIGIN = ("Offset", "Position", "Origin")
_DIRECTION = ("TransformMatrix", "Rotation", "Orientation")
_BIG_ENDIAN = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


@dataclass(frozen=True, kw_only=True)
class MetaImageHeader:
    """What a header says.

    Attributes:
        sizes: Along each axis, the first axis fastest.
        values: Values per voxel.
        stored: Where and how the voxels are stored.
        geometry: Where the image lies.
    """

    sizes: tuple[int, ...]
    values: int
    stored: StoredVoxels
    geometry: Geometry


def read_header(path: Path) -> MetaImageHeader:
    """Reads and checks a header.

    Raises:
        ImageError: It says what cannot be or what is not supported.
    """
    with path.open("rb") as stream:
        text = stream.read(MAX_HEADER_BYTES)
    fields, listed, end = _split(path, text)
    sizes = _numbers(path, fields, ("DimSize",), int)
    axes = _numbers(path, fields, ("NDims",), int)
    values = (_numbers(path, fields, ("ElementNumberOfChannels",), int) or (1,))[0]
    if not sizes or axes[:1] != (len(sizes),) or min(sizes) < 1:
        raise _wrong(path, "DimSize", fields.get("DimSize"))
    if values < 1:
        raise _wrong(path, "ElementNumberOfChannels", str(values))
    if len(sizes) not in (2, 3, 4) or (len(sizes) == 4 and values > 1):
        raise ImageError(
            f"{path}: has {len(sizes)} dimensions and {values} values per voxel; 2 and 3 "
            "dimensions, or 4 with one value, are supported. Split the file."
        )
    return MetaImageHeader(
        sizes=sizes,
        values=values,
        stored=_stored(path, fields, listed, end, math.prod(sizes) * values),
        geometry=_geometry(path, fields, sizes),
    )


def _split(path: Path, text: bytes) -> tuple[dict[str, str], list[str], int]:
    """Fields, names of data files that follow a LIST, and where the header ends."""
    fields: dict[str, str] = {}
    position = 0
    while position < len(text):
        stop = text.find(b"\n", position)
        stop = len(text) if stop < 0 else stop
        line = text[position:stop].decode("utf-8", "replace").strip()
        position = min(stop + 1, len(text))
        key, _, value = line.partition("=")
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            names = []
            if value.split()[:1] == ["LIST"]:
                rest = text[position:].decode("utf-8", "replace")
                names = [name.strip() for name in rest.splitlines() if name.strip()]
            return fields, names, position
    raise ImageError(f"{path}: is no MetaImage: ElementDataFile is missing. Export it again.")


def _stored(
    path: Path, fields: dict[str, str], listed: list[str], end: int, count: int
) -> StoredVoxels:
    kind = fields.get("ElementType", "").removesuffix("_ARRAY")
    if kind not in TYPES:
        raise _wrong(path, "ElementType", fields.get("ElementType"))
    is_packed = _flag(fields, ("CompressedData",))
    files = _data_files(path, fields["ElementDataFile"], listed)
    if is_packed and len(files) > 1:
        raise ImageError(
            f"{path}: has compressed voxels in several files, which is not supported. "
            "Save it as .mha."
        )
    skip = (_numbers(path, fields, ("HeaderSize",), int) or (0,))[0]
    if skip < (0 if is_packed else FROM_END):
        raise _wrong(path, "HeaderSize", str(skip))
    is_binary = "BinaryData" not in fields or _flag(fields, ("BinaryData",))
    return StoredVoxels(
        files=files or (path,),
        packing="zlib" if is_packed else "none",
        form="binary" if is_binary else "decimal",
        offset=0 if files else end,
        skip_bytes=skip,
        dtype=np.dtype((">" if _flag(fields, _BIG_ENDIAN) else "<") + TYPES[kind]),
        count=count,
    )


def _data_files(path: Path, value: str, listed: list[str]) -> tuple[Path, ...]:
    if value.upper() == "LOCAL":
        return ()
    if value.split()[:1] == ["LIST"]:
        if not listed:
            raise _wrong(path, "ElementDataFile", value)
        return beside(path, listed)
    if "%" not in value:
        return beside(path, [value])
    pattern, *numbers = value.rsplit(maxsplit=3)
    try:
        first, last, step = (int(number) for number in numbers)
    except ValueError:
        raise _wrong(path, "ElementDataFile", value) from None
    return beside(path, numbered(path, pattern, first, last, step))


def _geometry(path: Path, fields: dict[str, str], sizes: tuple[int, ...]) -> Geometry:
    axes = len(sizes)
    in_space = min(axes, 3)
    spacing = _numbers(path, fields, _SPACING, float) or (1.0,) * axes
    offset = _numbers(path, fields, _ORIGIN, float) or (0.0,) * axes
    matrix = _numbers(path, fields, _DIRECTION, float) or tuple(np.eye(axes).flat)
    if len(spacing) != axes or len(offset) != axes or len(matrix) != axes**2:
        raise ImageError(
            f"{path}: spacing, offset or directions are not those of {axes} axes. "
            "Correct the header or export the image again."
        )
    check_spacing(path, spacing[:in_space])
    # The matrix has the direction of one axis after another: rows here, columns in ITK.
    directions = np.reshape(matrix, (axes, axes)).T[:in_space, :in_space]
    columns = np.zeros((3, in_space))
    columns[:in_space] = directions * spacing[:in_space]
    origin = [*offset[:in_space], *([0.0] * (3 - in_space))]
    return make_geometry(path, sizes[:in_space], columns, origin, spacing[:in_space])


def _flag(fields: dict[str, str], names: tuple[str, ...]) -> bool:
    return any(fields.get(name, "").lower() in ("true", "1", "t", "y", "yes") for name in names)


def _numbers(
    path: Path, fields: dict[str, str], names: tuple[str, ...], kind: Callable[[str], T]
) -> tuple[T, ...]:
    name = next((name for name in names if name in fields), None)
    if name is None:
        return ()
    try:
        return tuple(kind(part) for part in fields[name].split())
    except (ValueError, OverflowError):
        raise _wrong(path, name, fields[name]) from None


def _wrong(path: Path, key: str, value: str | None) -> ImageError:
    said = "is missing" if value is None else f"is {value[:60]!r}"
    return ImageError(f"{path}: {key} {said}. Correct the header or export the image again.")
