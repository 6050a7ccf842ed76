"""Image files that are there as a whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from autoseg.errors import ImageError
from autoseg.schema.serialise import atomic_path

Check = Callable[[Path], object]
"""Reads a header back; raises where that fails."""


@contextmanager
def whole_file(path: Path, check: Check) -> Iterator[BinaryIO]:
    """One file of `whole_files`."""
    with whole_files({path: check}) as (stream,):
        yield stream


@contextmanager
def whole_files(checks: Mapping[Path, Check]) -> Iterator[tuple[BinaryIO, ...]]:
    """Yields streams into private files beside some paths, which become them once all are safe.

    What was written is flushed to the disk, sizes and headers are checked, and only then do the
    files get their names, the last one first.

    Args:
        checks: The files to make, and how each is checked.

    Raises:
        ImageError: One cannot be written. Nothing is left, and earlier files stay as they were.
    """
    try:
        with ExitStack() as names:
            temporaries = [names.enter_context(atomic_path(path)) for path in checks]
            with ExitStack() as opened:
                streams = [opened.enter_context(path.open("wb")) for path in temporaries]
                yield tuple(streams)
                for stream in streams:
                    stream.flush()
                    os.fsync(stream.fileno())
                written = [stream.tell() for stream in streams]
            for temporary, size, (path, check) in zip(
                temporaries, written, checks.items(), strict=True
            ):
                if temporary.stat().st_size != size:
                    raise ImageError(
                        f"{path}: cannot be written (the disk kept only a part of it)."
                    )
                check(temporary)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(
            f"{next(iter(checks))}: cannot be written ({reason}). "
            "Make room or choose another folder."
        ) from None
