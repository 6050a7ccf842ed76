"""NRRD headers: text lines `field: value` up to an empty line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from autoseg.errors import ImageError
from autoseg.images.affine import make_geometry
from autoseg.images.compressed import Packing
from autoseg.images.detached import beside, numbered
from autoseg.images.stored_voxels import FROM_END, StoredVoxels
from autoseg.schema.geometry import Geometry

MAX_HEADER_BYTES = 2**20
T = TypeVar("T")

_NAMES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, "
    "int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
TYPES = {name: code for code, names in _NAMES.items() for name in names.split(", ")}
"""NRRD's names of types."""

PACKINGS: dict[str, Packing] = {"raw": "none", "gzip": "gzip", "gz": "gzip"}
PACKINGS |= {"bzip2": "bzip2", "bz2": "bzip2"}
TEXTS = {"text": "decimal", "txt": "decimal", "ascii": "decimal", "hex": "hexadecimal"}

SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
    "scanner-xyz": (1, 1, 1),
    "3d-right-handed": (1, 1, 1),
    "3d-left-handed": (1, 1, 1),
}
"""Signs that turn a space to ITK's; those that name no patient are taken as they are."""

SPATIAL_KINDS = ("domain", "space", "time", "???", "unknown")
_VECTOR = re.compile(r"none|\(([^()]*)\)")


@dataclass(frozen=True, kw_only=True)
class NrrdHeader:
    """What a header says.

    Attributes:
        sizes: Along each axis, the first axis fastest.
        channel_axis: The axis that counts values of a voxel, or None.
        stored: Where and how the voxels are stored.
        geometry: Where the image lies.
    """

    sizes: tuple[int, ...]
    channel_axis: int | None
    stored: StoredVoxels
    geometry: Geometry


def read_header(path: Path) -> NrrdHeader:
    """Reads and checks a header, attached or detached.

    Raises:
        ImageError: It says what cannot be or what is not supported.
    """
    with path.open("rb") as stream:
        text = stream.read(MAX_HEADER_BYTES)
    fields, listed, end = _split(path, text)
    sizes = _numbers(path, fields, "sizes", int)
    if not sizes or len(sizes) != _number(path, fields, "dimension", 0):
        raise _wrong(path, "sizes", fields.get("sizes"))
    if min(sizes) < 1:
        raise _wrong(path, "sizes", fields.get("sizes"))
    vectors = _vectors(path, fields, len(sizes))
    channel_axis = _channel_axis(path, fields, sizes, vectors)
    return NrrdHeader(
        sizes=sizes,
        channel_axis=channel_axis,
        stored=_stored(path, fields, listed, end, math.prod(sizes)),
        geometry=_geometry(path, fields, sizes, vectors, channel_axis),
    )


def _split(path: Path, text: bytes) -> tuple[dict[str, str], list[str], int]:
    """Fields, names of data files that follow a LIST, and where the header ends."""
    fields: dict[str, str] = {}
    position = text.find(b"\n") + 1
    while position and (stop := text.find(b"\n", position)) >= 0:
        line = text[position:stop].decode("utf-8", "replace").rstrip("\r")
        position = stop + 1
        if not line:
            return fields, [], position
        name, separator, value = line.partition(":")
        if line.startswith("#") or not separator or value.startswith("="):
            continue
        key = name.strip().lower().replace(" ", "")
        fields[key] = value.strip()
        if key == "datafile" and value.split()[:1] == ["LIST"]:
            names = text[position:].decode("utf-8", "replace").splitlines()
            return fields, [item for item in names if item.strip()], len(text)
    if len(text) == MAX_HEADER_BYTES:
        raise ImageError(f"{path}: its header has no end. Export the image again.")
    return fields, [], len(text)


def _stored(
    path: Path, fields: dict[str, str], listed: list[str], end: int, count: int
) -> StoredVoxels:
    kind, encoding = fields.get("type", "").lower(), fields.get("encoding", "").lower()
    if kind not in TYPES:
        raise _wrong(path, "type", fields.get("type"))
    if encoding not in PACKINGS and encoding not in TEXTS:
        raise _wrong(path, "encoding", fields.get("encoding"))
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "little").lower())
    if order is None:
        raise _wrong(path, "endian", fields.get("endian"))
    lines = _number(path, fields, "lineskip", 0)
    skip = _number(path, fields, "byteskip", 0)
    is_raw = PACKINGS.get(encoding) == "none"
    if lines < 0 or skip < (FROM_END if is_raw else 0):
        raise _wrong(path, "byte skip", fields.get("byteskip"))
    files = _data_files(path, fields, listed)
    return StoredVoxels(
        files=files or (path,),
        packing=PACKINGS.get(encoding, "none"),
        form=TEXTS.get(encoding, "binary"),  # type: ignore[arg-type]
        offset=0 if files else end,
        skip_lines=lines,
        skip_bytes=skip,
        dtype=np.dtype(order + TYPES[kind]),
        count=count,
    )


def _data_files(path: Path, fields: dict[str, str], listed: list[str]) -> tuple[Path, ...]:
    value = fields.get("datafile")
    if value is None:
        return ()
    if value.split()[:1] == ["LIST"]:
        if not listed:
            raise _wrong(path, "data file", value)
        return beside(path, listed)
    if "%" not in value:
        return beside(path, [value])
    pattern, *numbers = value.rsplit(maxsplit=3)
    try:
        first, last, step = (int(number) for number in numbers)
    except ValueError:
        raise _wrong(path, "data file", value) from None
    return beside(path, numbered(path, pattern, first, last, step))


def _channel_axis(
    path: Path,
    fields: dict[str, str],
    sizes: tuple[int, ...],
    vectors: list[tuple[float, ...] | None] | None,
) -> int | None:
    kinds = [kind.lower() for kind in fields.get("kinds", "").split()] or ["???"] * len(sizes)
    if len(kinds) != len(sizes):
        raise _wrong(path, "kinds", fields.get("kinds"))
    found = [
        axis
        for axis, kind in enumerate(kinds)
        if kind not in SPATIAL_KINDS or (vectors is not None and vectors[axis] is None)
    ]
    if not found and len(sizes) == 4:
        return kinds.index("time") if "time" in kinds else 3
    if len(found) > 1 or len(sizes) - len(found) not in (2, 3):
        raise ImageError(
            f"{path}: has the sizes {sizes} with the kinds {' '.join(kinds)[:60]}; two or three "
            "axes in space and at most one of channels are read. Split the file."
        )
    return found[0] if found else None


def _geometry(
    path: Path,
    fields: dict[str, str],
    sizes: tuple[int, ...],
    vectors: list[tuple[float, ...] | None] | None,
    channel_axis: int | None,
) -> Geometry:
    axes = [axis for axis in range(len(sizes)) if axis != channel_axis]
    shape = tuple(sizes[axis] for axis in axes)
    columns = np.zeros((3, len(axes)))
    origin = np.zeros(3)
    if vectors is None:
        spacing = _per_axis(path, fields, "spacings", axes)
        if spacing and min(spacing) < 0:
            raise _wrong(path, "spacings", fields["spacings"])
        columns[: len(axes)] = np.diag(spacing or [1.0] * len(axes))
        origin[: len(axes)] = _corner(path, fields, axes, columns)
    else:
        signs = np.array(_space(path, fields))
        for index, axis in enumerate(axes):
            vector = vectors[axis] or ()
            columns[: len(vector), index] = vector
        start = _origin(path, fields)
        origin[: len(start)] = start
        columns, origin = columns * signs[:, None], origin * signs
    return make_geometry(path, shape, columns, origin.tolist())


def _corner(
    path: Path, fields: dict[str, str], axes: list[int], columns: np.ndarray[Any, Any]
) -> list[float]:
    """Centre of the first voxel where a header gives the ends of its axes."""
    starts = _per_axis(path, fields, "axismins", axes) or [0.0] * len(axes)
    if "axismins" not in fields:
        return starts
    names = fields.get("centers", fields.get("centerings", "")).lower().split()
    return [
        start + (0 if names[axis : axis + 1] == ["node"] else step / 2)
        for axis, start, step in zip(axes, starts, np.diag(columns[: len(axes)]), strict=True)
    ]


def _space(path: Path, fields: dict[str, str]) -> tuple[int, int, int]:
    if "space" not in fields:  # only "space dimension"
        return (1, 1, 1)
    signs = SPACES.get(fields["space"].lower())
    if signs is None:
        raise _wrong(path, "space", fields["space"])
    return signs


def _origin(path: Path, fields: dict[str, str]) -> tuple[float, ...]:
    value = fields.get("spaceorigin")
    if value is None:
        return (0.0, 0.0, 0.0)
    return _parse(path, "space origin", value, _coordinates)


def _vectors(
    path: Path, fields: dict[str, str], count: int
) -> list[tuple[float, ...] | None] | None:
    value = fields.get("spacedirections")
    if value is None:
        return None
    items = [match.group() for match in _VECTOR.finditer(value)]
    if len(items) != count:
        raise _wrong(path, "space directions", value)
    return [
        None if item == "none" else _parse(path, "space directions", item, _coordinates)
        for item in items
    ]


def _coordinates(text: str) -> tuple[float, ...]:
    values = tuple(
        float(part) for part in text.strip().removeprefix("(").removesuffix(")").split(",")
    )
    if len(values) not in (2, 3):
        raise ValueError(text)
    return values


def _per_axis(path: Path, fields: dict[str, str], key: str, axes: list[int]) -> list[float]:
    values = _numbers(path, fields, key, float)
    if not values:
        return []
    if len(values) <= max(axes):
        raise _wrong(path, key, fields[key])
    return [values[axis] for axis in axes]


def _number(path: Path, fields: dict[str, str], key: str, default: int) -> int:
    values = _numbers(path, fields, key, int)
    return values[0] if values else default


def _numbers(
    path: Path, fields: dict[str, str], key: str, kind: Callable[[str], T]
) -> tuple[T, ...]:
    return tuple(_parse(path, key, part, kind) for part in fields.get(key, "").split())


def _parse(path: Path, key: str, text: str, kind: Callable[[str], T]) -> T:
    try:
        return kind(text)
    except (ValueError, OverflowError):
        raise _wrong(path, key, text) from None


def _wrong(path: Path, key: str, value: str | None) -> ImageError:
    said = "is missing" if value is None else f"is {value[:60]!r}"
    return ImageError(f"{path}: '{key}' {said}. Correct the header or export the image again.")
