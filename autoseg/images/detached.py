"""Voxels that lie beside a header, in files of their own that the header names.

A header is text from anywhere: what it names is opened only where it lies in the header's folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from autoseg.errors import ImageError

MAX_FILES = 100_000
_NUMBER = re.compile(r"%(0?[0-9]?)d")


def beside(header: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """The files that a header names.

    Args:
        header: The header's file.
        names: As they stand there.

    Raises:
        ImageError: One is missing, no plain file, or outside the header's folder.
    """
    return tuple(_beside(header, name) for name in names)


def _beside(header: Path, name: str) -> Path:
    part = Path(name)
    is_local = name.isprintable() and not part.is_absolute() and ".." not in part.parts
    path = header.parent / part
    if not is_local or not _stays(header, path):
        raise ImageError(
            f"{header}: names voxels outside its folder ({name[:80]!r}). "
            "Put them beside the header and name them without a folder."
        )
    if not path.is_file():
        raise ImageError(f"{header}: its voxels {name[:80]!r} are missing. Put them beside it.")
    return path


def _stays(header: Path, path: Path) -> bool:
    """Whether the file, with all links followed, lies in the header's folder.

    Where the header itself is a link, the folder of what it points at is as good.
    """
    try:
        folders = {header.parent.resolve(), header.resolve().parent}
        found = path.resolve()
    except (OSError, RuntimeError, ValueError):  # a circle of links
        return False
    return any(found.is_relative_to(folder) for folder in folders)


def numbered(header: Path, pattern: str, first: int, last: int, step: int) -> list[str]:
    """Names of slices such as slice_%03d.raw.

    Raises:
        ImageError: The pattern is another one, or there are too many.
    """
    count = (last - first) // step + 1 if step else 0
    if len(_NUMBER.findall(pattern)) != 1 or pattern.count("%") != 1 or count < 1:
        raise ImageError(
            f"{header}: names its voxels {pattern[:80]!r} {first} {last} {step}; "
            "expected one number such as %03d, the first, the last and the step."
        )
    if count > MAX_FILES:
        raise ImageError(f"{header}: names {count} files; at most {MAX_FILES} are read.")
    return [pattern % (first + index * step) for index in range(count)]
