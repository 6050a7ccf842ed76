"""Finds in NIfTI files what ITK reads without a word: missing voxels (as zeros) and NaN (as 0)."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from evaluation.errors import EvaluationError

HEADER_BYTES = 348
FLOATS = {16: "f4", 64: "f8"}
BLOCK = 1 << 22


def check_nifti(path: Path, voxel_bytes: int) -> None:
    """Refuses truncated files and floating point ones with NaN.

    Args:
        path: A .nii or .nii.gz file that ITK could read.
        voxel_bytes: Bytes that its voxels should take.

    Raises:
        EvaluationError: See above.
    """
    with path.open("rb") as stream:
        # Some programs write files that are not compressed in spite of their name.
        is_packed = stream.read(2) == b"\x1f\x8b"
    opened = gzip.open if is_packed else open
    found, rest = 0, b""
    kind: np.dtype[np.floating] | None = None
    try:
        if is_packed and _is_whole(path, voxel_bytes):
            return
        with opened(path, "rb") as stream:
            header = stream.read(HEADER_BYTES)
            kind, offset = _layout(header)
            found = len(header) + len(stream.read(max(offset - len(header), 0)))
            while block := stream.read(BLOCK):
                found += len(block)
                if kind is not None:
                    rest = _check_floats(path, rest + block, kind)
    except (EOFError, OSError, zlib.error) as error:
        raise EvaluationError(f"{path}: truncated or damaged ({error}).") from None
    if found < voxel_bytes + HEADER_BYTES:
        raise EvaluationError(f"{path}: truncated, {found} bytes for {voxel_bytes} of voxels.")


def _is_whole(path: Path, voxel_bytes: int) -> bool:
    """Whether an integer file's last word, its unpacked size, is that of its header and voxels.

    That takes no unpacking; a truncated file ends in other bytes.
    """
    with gzip.open(path, "rb") as stream:
        kind, offset = _layout(stream.read(HEADER_BYTES))
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        (size,) = struct.unpack("<I", stream.read(4))
    return kind is None and offset > 0 and size == (offset + voxel_bytes) % (1 << 32)


def _layout(header: bytes) -> tuple[np.dtype[np.floating] | None, int]:
    """Type of the voxels, where it is a floating point one, and where they begin."""
    if len(header) < HEADER_BYTES:
        return None, 0
    order = "<" if struct.unpack("<i", header[:4])[0] == HEADER_BYTES else ">"
    if struct.unpack(f"{order}i", header[:4])[0] != HEADER_BYTES:
        return None, 0  # NIfTI-2
    (code,) = struct.unpack(f"{order}h", header[70:72])
    (offset,) = struct.unpack(f"{order}f", header[108:112])
    kind = np.dtype(order + FLOATS[code]) if code in FLOATS else None
    return kind, int(offset)


def _check_floats(path: Path, block: bytes, kind: np.dtype[np.floating]) -> bytes:
    whole = len(block) // kind.itemsize * kind.itemsize
    if np.isnan(np.frombuffer(block[:whole], dtype=kind)).any():
        raise EvaluationError(f"{path}: holds values that are no integers, or NaN.")
    return block[whole:]
