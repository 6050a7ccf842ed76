"""Bytes of files, packed or not: read once and to their end, where their checksums stand."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError

MAGIC = b"\x1f\x8b"
BLOCK = 1 << 17
UNPACKED_BLOCK = 1 << 22
MOST_PER_BYTE = 1032
"""What a byte of deflate can become at most."""
SURPLUS = 1 << 24
"""Bytes that may follow in a packed file beyond what its header speaks of."""
GZIP_OR_ZLIB = 47


class Packed:
    """Bytes of an open file from where it stands, unpacked where they are gzip or zlib.

    Args:
        path: The file, for messages.
        stream: The file, opened without a buffer.
        is_packed: Whether the bytes are packed.
    """

    def __init__(self, path: Path, stream: BinaryIO, *, is_packed: bool) -> None:
        self.path, self.is_packed, self._stream = path, is_packed, stream
        self._size = path.stat().st_size - stream.tell()
        self._decoder = zlib.decompressobj(GZIP_OR_ZLIB)
        self._rest = b""

    def read(self, count: int) -> bytes:
        """The next bytes; fewer where the file ends."""
        target = bytearray(count)
        return bytes(target[: self._fill(memoryview(target))])

    def voxels(self, count: int) -> npt.NDArray[np.uint8]:
        """The next bytes, all of them.

        Raises:
            EvaluationError: The file does not hold as many.
        """
        most = self._size * (MOST_PER_BYTE if self.is_packed else 1)
        if count > most:  # before any memory is taken for them
            raise self._truncated(f"{self._size} bytes", count)
        target = np.empty(count, dtype=np.uint8)
        found = self._fill(target.data)
        if found < count:
            raise self._truncated(str(found), count)
        return target

    def finish(self, expected: int = 0) -> None:
        """Reads a packed file to its end; zlib compares checksum and length there.

        Args:
            expected: Bytes that may follow, besides a few that belong to nothing.

        Raises:
            EvaluationError: Far more follows than belongs to the file.
        """
        found, scratch = 0, memoryview(bytearray(1 << 16 if not expected else UNPACKED_BLOCK))
        while self.is_packed and (count := self._fill(scratch)):
            found += count
            if found > expected + SURPLUS:
                raise EvaluationError(f"{self.path}: unpacks to far more than its header says.")

    def _truncated(self, found: str, count: int) -> EvaluationError:
        return EvaluationError(f"{self.path}: truncated, {found} for {count} of voxels.")

    def _fill(self, target: memoryview) -> int:
        have = 0
        while have < len(target):
            if not self.is_packed:
                count = self._stream.readinto(target[have:])  # type: ignore[attr-defined]
            else:
                part = self._unpack(len(target) - have)
                count = len(part)
                target[have : have + count] = part
            if not count:
                break
            have += count
        return have

    def _unpack(self, most: int) -> bytes:
        while not self._decoder.eof or self._starts_again():
            packed = self._rest or self._stream.read(BLOCK)
            part = self._decoder.decompress(packed, min(most, UNPACKED_BLOCK))
            self._rest = self._decoder.unconsumed_tail
            if part:
                return part
            if not packed and not self._decoder.eof:
                raise EOFError("it ends too early")
        return b""

    def _starts_again(self) -> bool:
        """Goes on with the next of several gzip streams in one file."""
        rest = self._decoder.unused_data
        rest += self._stream.read(BLOCK) if len(rest) < len(MAGIC) else b""
        if not rest.startswith(MAGIC):
            return False
        self._decoder, self._rest = zlib.decompressobj(GZIP_OR_ZLIB), rest
        return True


@contextmanager
def open_packed(path: Path, offset: int = 0, *, is_packed: bool | None = None) -> Iterator[Packed]:
    """Opens a file for reading.

    Args:
        path: The file.
        offset: Where its bytes begin.
        is_packed: Whether they are packed; None asks the file whether it is gzip. (Some programs
            write files that are not packed in spite of their name.)

    Raises:
        EvaluationError: It is no plain file, cannot be read or is damaged, also within the block.
    """
    check_plain(path)
    try:
        with path.open("rb", buffering=0) as stream:
            if is_packed is None:
                is_packed = stream.read(2) == MAGIC
            stream.seek(offset)
            yield Packed(path, stream, is_packed=is_packed)
    except (EOFError, zlib.error) as error:
        raise EvaluationError(f"{path}: truncated or damaged ({error}).") from None
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except MemoryError:
        raise EvaluationError(f"{path}: its voxels do not fit into the memory.") from None


def check_plain(path: Path) -> None:
    """Refuses what would block or end the program: pipes, devices, names of another encoding.

    Raises:
        EvaluationError: See above.
    """
    try:
        os.fsencode(path).decode()
    except UnicodeDecodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise EvaluationError(f"{shown}: the name is not UTF-8. Rename the file.") from None
    if not path.is_file():
        what = "is no plain file" if path.exists() else "no such file"
        raise EvaluationError(f"{path}: {what}.")


def has_plain_name(path: Path) -> bool:
    """Whether ITK may be told a name: one that this locale cannot spell would end the program."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
