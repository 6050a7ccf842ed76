"""Voxels of NRRD and MetaImage files: packed, plain or as text, attached or beside the header."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.images.compressed import COPY_AGAIN, ImageBytes, Packing, image_bytes, unreadable

TEXT_BLOCK = 2**22
FROM_END = -1
"""As `skip_bytes`: the voxels are the last bytes of the file."""


@dataclass(frozen=True, kw_only=True)
class StoredVoxels:
    """Where and how voxels are stored.

    Attributes:
        files: One, or several with equal parts of the voxels.
        packing: How their bytes are packed.
        form: Binary numbers, or text: decimal or hexadecimal.
        offset: Where they begin, before anything is unpacked.
        skip_lines: Lines that are left out, before anything is unpacked.
        skip_bytes: Bytes that are left out, unpacked; or `FROM_END`.
        dtype: Type and byte order of a voxel.
        count: Numbers in all.
    """

    files: tuple[Path, ...]
    packing: Packing = "none"
    form: Literal["binary", "decimal", "hexadecimal"] = "binary"
    offset: int = 0
    skip_lines: int = 0
    skip_bytes: int = 0
    dtype: np.dtype[Any]
    count: int


def read_voxels(stored: StoredVoxels) -> npt.NDArray[np.generic]:
    """Reads them as one row of numbers in this machine's byte order.

    Raises:
        ImageError: A file is missing, damaged, or holds too little.
    """
    each, rest = divmod(stored.count, len(stored.files))
    if rest:
        raise ImageError(
            f"{stored.files[0]}: {stored.count} voxels are not evenly spread over "
            f"{len(stored.files)} files. Export the image again."
        )
    parts = [_read_file(stored, path, each) for path in stored.files]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _read_file(stored: StoredVoxels, path: Path, count: int) -> npt.NDArray[np.generic]:
    if stored.form != "binary":
        return _read_text(stored, path, count)
    size = count * stored.dtype.itemsize
    offset = _after_lines(path, stored.offset, stored.skip_lines)
    skip = stored.skip_bytes
    if skip == FROM_END:
        offset, skip = max(offset, path.stat().st_size - size), 0
    with image_bytes(path, stored.packing, offset) as source:
        source.skip(skip)
        raw = source.voxels(size)
        source.finish()
    return raw.view(stored.dtype).astype(stored.dtype.newbyteorder("="), copy=False)


def _after_lines(path: Path, offset: int, lines: int) -> int:
    if not lines:
        return offset
    with path.open("rb") as stream:
        stream.seek(offset)
        for _ in range(lines):
            if not stream.readline(2**20):
                break
        return stream.tell()


def _read_text(stored: StoredVoxels, path: Path, count: int) -> npt.NDArray[np.generic]:
    parse = _hexadecimal if stored.form == "hexadecimal" else _decimal
    offset = _after_lines(path, stored.offset, stored.skip_lines)
    try:
        with image_bytes(path, "none", offset) as source:
            source.skip(stored.skip_bytes)
            found = parse(_lines(source), stored.dtype)[:count]
    except (ValueError, OverflowError):
        raise unreadable(path, "its voxels are no text of numbers", "Export it again.") from None
    if found.size < count:
        raise unreadable(path, f"truncated: {found.size} of {count} voxels", COPY_AGAIN)
    return found.astype(stored.dtype.newbyteorder("="))


def _decimal(lines: Iterable[bytes], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    kind: Any = dtype.newbyteorder("=") if dtype.kind in "iu" else np.float64
    # A list of all numbers at once would take many times their memory.
    return np.concatenate(
        [np.array(text.split() or [], dtype=np.bytes_).astype(kind) for text in lines]
    )


def _hexadecimal(lines: Iterable[bytes], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    raw = b"".join(bytes.fromhex(text.decode("ascii")) for text in lines)
    return np.frombuffer(raw[: len(raw) // dtype.itemsize * dtype.itemsize], dtype)


def _lines(source: ImageBytes) -> Iterator[bytes]:
    """Blocks of text that end where a line ends."""
    rest = b""
    while block := source.read(TEXT_BLOCK):
        text, separator, rest = (rest + block).rpartition(b"\n")
        yield text + separator
    yield rest
