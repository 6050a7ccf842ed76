"""Bytes of image files, packed or not: read once, to their end, checksums included.

Nothing is allocated that the file cannot hold, and no stream is unpacked far beyond its header.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError

Packing = Literal["none", "gzip", "zlib", "bzip2"]

GZIP_MAGIC = b"\x1f\x8b"
PACKED_BLOCK = 2**17
UNPACKED_BLOCK = 2**22
MOST_PER_BYTE = {"none": 1, "gzip": 1032, "zlib": 1032, "bzip2": 1_500_000}
"""What a byte can unpack to at most: deflate's limit, and what bzip2 makes of zeros."""

SURPLUS_BYTES = 2**24
"""What a packed file may hold behind its voxels, beside as much again as it has before."""

COPY_AGAIN = "Copy or export it again."
_GZIP_OR_ZLIB = 47  # zlib's wbits: the header tells which of both it is
_MEMORY_LEVEL = 9  # the most that zlib knows; it is fastest


class _Source(Protocol):
    def readinto(self, target: memoryview, /) -> int | None: ...


class _Inflated:
    """Unpacks gzip and zlib streams; zlib compares each one's checksum and length at its end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._packed = b""

    def readinto(self, target: memoryview, /) -> int:
        while not self._decoder.eof or self._has_another():
            if not self._packed:
                self._packed = self._stream.read(PACKED_BLOCK)
            is_last = not self._packed
            part = self._decoder.decompress(self._packed, min(len(target), UNPACKED_BLOCK))
            self._packed = self._decoder.unconsumed_tail
            if part:
                target[: len(part)] = part
                return len(part)
            if is_last and not self._decoder.eof:
                raise EOFError("it ends too early")
        return 0

    def _has_another(self) -> bool:
        """Starts on the next of several gzip streams in one file."""
        rest = self._decoder.unused_data or self._packed
        if len(rest) < len(GZIP_MAGIC):
            rest += self._stream.read(PACKED_BLOCK)
        self._packed = rest if rest.startswith(GZIP_MAGIC) else b""
        if self._packed:
            self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
        return bool(self._packed)


class ImageBytes:
    """The unpacked bytes of one image file, front to back.

    Args:
        path: The file, for messages.
        stream: The file, opened where the bytes begin.
        packing: How they are packed.
    """

    def __init__(self, path: Path, stream: BinaryIO, packing: Packing) -> None:
        self._path = path
        self._packing = packing
        self._stream = stream
        self._size = path.stat().st_size - stream.tell()
        self._source = self._unpacked(stream)
        self._taken = 0

    def _unpacked(self, stream: BinaryIO) -> _Source:
        if self._packing == "bzip2":
            return bz2.BZ2File(stream)
        return stream if self._packing == "none" else _Inflated(stream)  # type: ignore[return-value]

    @property
    def taken(self) -> int:
        """How many were read so far."""
        return self._taken

    def read(self, count: int) -> bytes:
        """The next bytes; fewer where the file ends. For headers, not for voxels."""
        found = bytearray(count)
        return bytes(found[: self._fill(memoryview(found))])

    def skip(self, count: int) -> None:
        """Leaves bytes out."""
        while count > 0 and (found := len(self.read(min(count, UNPACKED_BLOCK)))):
            count -= found

    def voxels(self, count: int) -> npt.NDArray[np.uint8]:
        """The next bytes, all of them.

        Raises:
            ImageError: The file does not hold as many, or this machine has no memory for them.
        """
        most = self._size * MOST_PER_BYTE[self._packing]
        if most < self._taken + count:
            raise unreadable(
                self._path,
                f"truncated: its {self._size} bytes cannot hold the "
                f"{self._taken + count} that its header names",
                COPY_AGAIN,
            )
        try:
            found = np.empty(count, dtype=np.uint8)
        except (MemoryError, ValueError):
            raise unreadable(
                self._path, f"its voxels take {count / 1e9:.1f} GB of memory", "Crop the image."
            ) from None
        have = self._fill(found.data)
        if have < count:
            raise unreadable(
                self._path, f"truncated: {have} of {count} bytes of voxels", COPY_AGAIN
            )
        return found

    def finish(self) -> None:
        """Reads a packed file to its end, where its checksum stands.

        Raises:
            ImageError: Far more follows than the header names.
        """
        if self._packing == "none":
            return
        limit = self._taken + SURPLUS_BYTES
        before = self._taken
        scratch = memoryview(bytearray(min(limit, UNPACKED_BLOCK)))
        while self._fill(scratch):
            if self._taken - before > limit:
                raise unreadable(
                    self._path,
                    f"it unpacks to more than twice the {before} bytes that its header names",
                    "Export it again.",
                )

    def _fill(self, target: memoryview) -> int:
        have = 0
        while have < len(target):
            count = self._source.readinto(target[have:])
            if not count:
                break
            have += count
        self._taken += have
        return have


@contextmanager
def image_bytes(
    path: Path, packing: Packing | None = None, offset: int = 0
) -> Iterator[ImageBytes]:
    """Opens an image file for reading.

    Args:
        path: The file.
        packing: How it is packed; None asks the file whether it is gzip.
        offset: Where its bytes begin.

    Raises:
        ImageError: The file cannot be read or is damaged, also while it is being read.
    """
    try:
        with path.open("rb", buffering=0) as stream:
            if packing is None:
                packing = "gzip" if stream.read(2) == GZIP_MAGIC else "none"
            stream.seek(offset)
            yield ImageBytes(path, stream, packing)
    except (EOFError, zlib.error) as error:
        raise unreadable(path, f"truncated or damaged: {error}", COPY_AGAIN) from None
    except OSError as error:
        reason = error.strerror or f"truncated or damaged: {error}"
        raise unreadable(path, reason, "" if error.strerror else COPY_AGAIN) from None


def unreadable(path: Path, reason: str, remedy: str) -> ImageError:
    """The error for a file that cannot be read.

    Args:
        path: The file.
        reason: Why, without a full stop.
        remedy: What helps, as a sentence; may be empty.
    """
    return ImageError(f"{path}: cannot be read ({reason}). {remedy}".rstrip())


def write_packed(
    stream: BinaryIO, parts: Sequence[npt.NDArray[np.generic]], packing: Packing
) -> int:
    """Writes bytes, packed as suits label maps: only runs of equal bytes, which is fast.

    Args:
        stream: Where to.
        parts: What follows one another.
        packing: "none", "gzip" or "zlib".

    Returns:
        Bytes written.
    """
    wbits = zlib.MAX_WBITS + (16 if packing == "gzip" else 0)
    encoder = zlib.compressobj(1, zlib.DEFLATED, wbits, _MEMORY_LEVEL, zlib.Z_RLE)
    written = 0
    for part in parts:
        data = np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
        for start in range(0, len(data), UNPACKED_BLOCK):
            block = data[start : start + UNPACKED_BLOCK]
            written += stream.write(block if packing == "none" else encoder.compress(block))
    return written if packing == "none" else written + stream.write(encoder.flush())
