"""What ITK hides of a NIfTI file: missing voxels, NaN and spacings that are not positive.

ITK reads truncated files without a word, replaces NaN and infinity by 0 and bends spacings.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np

HEADER_BYTES = 544
BLOCK_BYTES = 2**22
FLOATS = {16: "f4", 64: "f8"}
"""NIfTI's codes of floating point types."""


@dataclass(frozen=True, kw_only=True)
class NiftiHeader:
    """The part of a NIfTI-1 or NIfTI-2 header that tells what the file must hold.

    Attributes:
        shape: Voxels per axis, first axis fastest.
        spacing: As written, per axis of `shape`.
        datatype: NIfTI's code.
        bytes_per_voxel: Size of a voxel.
        offset: Where the voxels begin.
        order: Byte order, "<" or ">".
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    datatype: int
    bytes_per_voxel: int
    offset: int
    order: str

    @property
    def file_bytes(self) -> int:
        """Bytes that the uncompressed file must have."""
        return self.offset + math.prod(self.shape) * self.bytes_per_voxel


def is_nifti(path: Path) -> bool:
    """Whether the name says NIfTI."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def truncation(path: Path) -> str | None:
    """What is missing, in words, or None.

    For compressed files the length that gzip stores at the end is compared with the header's;
    only where they differ is the whole file unpacked.
    """
    try:
        header = _read_header(path)
        if header is None:
            return None  # the reader says what it is instead
        have = path.stat().st_size
        if _is_compressed(path):
            have = _stored_length(path)
            if have != header.file_bytes % 2**32:
                have = _unpacked_bytes(path)
    except (OSError, EOFError, zlib.error) as error:
        return f"truncated or damaged: {error}"
    return f"truncated: {have} of {header.file_bytes} bytes" if have < header.file_bytes else None


def hidden_faults(path: Path) -> list[str]:
    """Faults of a complete file that its voxels do not show once ITK has read them."""
    header = _read_header(path)
    if header is None:
        return []
    faults = []
    if any(not step > 0 for step in header.spacing[:3]):
        listed = ", ".join(f"{step:g}" for step in header.spacing[:3])
        faults.append(f"spacing ({listed}) mm is not positive. Correct the header.")
    if header.datatype in FLOATS and (count := _count_not_finite(path, header)):
        faults.append(f"holds NaN or infinity in {count} voxels. Replace them before planning.")
    return faults


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if _is_compressed(path) else path.open("rb")


def _read_header(path: Path) -> NiftiHeader | None:
    with _open(path) as stream:
        raw = stream.read(HEADER_BYTES)
    if len(raw) < 348:
        return None
    for order in "<>":
        (size,) = struct.unpack(order + "i", raw[:4])
        if size == 348:
            dims = struct.unpack(order + "8h", raw[40:56])
            datatype, bits = struct.unpack(order + "2h", raw[70:74])
            steps = struct.unpack(order + "8f", raw[76:108])
            offset = int(struct.unpack(order + "f", raw[108:112])[0])
        elif size == 540 and len(raw) >= 540:
            datatype, bits = struct.unpack(order + "2h", raw[12:16])
            dims = struct.unpack(order + "8q", raw[16:80])
            steps = struct.unpack(order + "8d", raw[104:168])
            (offset,) = struct.unpack(order + "q", raw[168:176])
        else:
            continue
        if not 1 <= dims[0] <= 7:
            return None
        return NiftiHeader(
            shape=tuple(max(1, dim) for dim in dims[1 : dims[0] + 1]),
            spacing=steps[1 : dims[0] + 1],
            datatype=datatype,
            bytes_per_voxel=bits // 8,
            offset=offset,
            order=order,
        )
    return None


def _stored_length(path: Path) -> int:
    """Uncompressed length modulo 2³², as the last four bytes of a gzip file have it."""
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        return int(struct.unpack("<I", stream.read(4))[0])


def _unpacked_bytes(path: Path) -> int:
    total = 0
    with gzip.open(path) as unpacked:
        while block := unpacked.read(BLOCK_BYTES):
            total += len(block)
    return total


def _count_not_finite(path: Path, header: NiftiHeader) -> int:
    dtype = np.dtype(header.order + FLOATS[header.datatype])
    count = 0
    with _open(path) as stream:
        stream.seek(header.offset)
        while block := stream.read(BLOCK_BYTES):
            values = np.frombuffer(block[: len(block) // dtype.itemsize * dtype.itemsize], dtype)
            count += int((~np.isfinite(values)).sum())
    return count
