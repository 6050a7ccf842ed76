"""Folders that a command writes several files into, and may be killed while it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MARKER = ".unfinished"


@contextmanager
def unfinished(folder: Path) -> Iterator[None]:
    """Marks a folder as unfinished until the block has succeeded."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / _MARKER
    marker.touch()
    yield
    marker.unlink()


def is_unfinished(folder: Path) -> bool:
    """Whether a command was interrupted while it wrote into the folder."""
    return (folder / _MARKER).exists()
