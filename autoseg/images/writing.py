"""Image files that are there as a whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from autoseg.errors import ImageError
from autoseg.schema.serialise import atomic_path


@contextmanager
def whole_file(path: Path, check: Callable[[Path], object]) -> Iterator[BinaryIO]:
    """Yields a stream into a private file beside `path`, which becomes `path` once it is safe.

    What was written is flushed to the disk, its size and its header are checked, and only then
    does it get its name.

    Args:
        path: The file to make.
        check: Reads the header back; raises where that fails.

    Raises:
        ImageError: It cannot be written. Nothing is left, and an earlier file stays as it was.
    """
    try:
        with atomic_path(path) as temporary:
            with temporary.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                written = stream.tell()
            if temporary.stat().st_size != written:
                raise ImageError(f"{path}: cannot be written (the disk kept only a part of it).")
            check(temporary)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(
            f"{path}: cannot be written ({reason}). Make room or choose another folder."
        ) from None
