"""Unpacks archives of models: what models need, and nothing outside the target."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from autoseg.errors import InputError

MAX_UNPACKED_BYTES = 64 << 30
MAX_RATIO = 200
"""Largest ratio of unpacked to packed size that an archive of weights may have."""


def unpack(archive: Path, target: Path, wanted: Sequence[str]) -> None:
    """Unpacks files of some names.

    Args:
        archive: A zip.
        target: Folder.
        wanted: Names of files, in whatever folder they are.

    Raises:
        InputError: The archive is damaged or unsafe.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _check_members(archive, members)
            for member in members:
                name = PurePosixPath(member.filename.replace("\\", "/"))
                if name.name in wanted:
                    path = target.joinpath(*name.parts)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(member) as stream, path.open("wb") as out:
                        shutil.copyfileobj(stream, out, 1 << 22)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{archive}: damaged or no zip archive ({str(error)[:120]}).") from None


def _check_members(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    total = 0
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if not name.parts or name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            raise InputError(
                f"{archive}: holds the path '{member.filename[:80]}', which leaves the folder. "
                "Nothing was unpacked."
            )
        total += member.file_size
        packed = max(member.compress_size, 1)
        if member.file_size > (1 << 20) and member.file_size / packed > MAX_RATIO:
            raise InputError(
                f"{archive}: '{member.filename[:80]}' unpacks to {member.file_size} bytes."
            )
    if total > MAX_UNPACKED_BYTES:
        raise InputError(f"{archive}: unpacks to {total} bytes; the limit is {MAX_UNPACKED_BYTES}.")
