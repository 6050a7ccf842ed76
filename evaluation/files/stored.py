"""What ITK does not check in NRRD and MetaImage files: checksums, and where the voxels are.

They hold a header of text and then the voxels, often packed, or name another file that has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evaluation.errors import EvaluationError
from evaluation.files.packed import MOST_PER_BYTE, check_plain, open_packed

MAX_HEADER = 1 << 20
LARGEST_VALUE = 8
"""Bytes that a number takes at most."""


@dataclass(frozen=True, kw_only=True)
class StoredVoxels:
    """Where the voxels of a file are.

    Attributes:
        header: The file.
        path: The file that holds them, the same or one beside it.
        offset: Where they begin.
        is_packed: Whether they are gzip or zlib.
    """

    header: Path
    path: Path
    offset: int
    is_packed: bool

    def check(self, num_values: int) -> None:
        """Reads packed voxels to their end, where their checksum stands.

        Args:
            num_values: Numbers that the header speaks of.

        Raises:
            EvaluationError: They are damaged, or cannot be there.
        """
        size = self.path.stat().st_size
        if num_values > size * (MOST_PER_BYTE if self.is_packed else 1):
            raise EvaluationError(
                f"{self.header}: truncated, {size} bytes for {num_values} voxels."
            )
        if self.is_packed:
            with open_packed(self.path, self.offset, is_packed=True) as source:
                source.finish(num_values * LARGEST_VALUE)


def find_voxels(path: Path) -> StoredVoxels:
    """Reads where the voxels of a .mha, .mhd or .nrrd file are.

    Raises:
        EvaluationError: They lie outside the header's folder, or are no plain file.
    """
    check_plain(path)
    if path.name.lower().endswith((".mha", ".mhd")):
        fields, offset = _read_fields(path, b"=", b"elementdatafile")
        named = fields.get("elementdatafile", "")
        is_packed = fields.get("compresseddata", "").lower() == "true"
    else:
        fields, offset = _read_fields(path, b":", None)
        named = fields.get("data file", fields.get("datafile", ""))
        is_packed = fields.get("encoding", "").lower() in ("gzip", "gz")
    target = path
    if named.lower() not in ("", "local"):
        target, offset = _beside(path, named), 0
    return StoredVoxels(header=path, path=target, offset=offset, is_packed=is_packed)


def _beside(header: Path, named: str) -> Path:
    """The file that a header names, which must lie in the header's folder."""
    path = header.parent / named
    folders = {header.parent.resolve(), header.resolve().parent}
    is_one = "%" not in named and not named.lower().startswith("list")
    if not is_one or not any(path.resolve().is_relative_to(folder) for folder in folders):
        raise EvaluationError(
            f"{header}: names its voxels {named[:80]!r}; expected one file beside it."
        )
    check_plain(path)
    return path


def _read_fields(path: Path, separator: bytes, last: bytes | None) -> tuple[dict[str, str], int]:
    """Fields of a header of text, and where it ends: behind the last one, or at an empty line."""
    fields: dict[str, str] = {}
    with path.open("rb") as stream:
        while (line := stream.readline(MAX_HEADER)) and stream.tell() < MAX_HEADER:
            name, _, value = line.partition(separator)
            key = name.strip().lower()
            fields[key.decode("latin-1")] = value.strip().decode("utf-8", "replace")
            if key == last or (last is None and not line.strip()):
                break
        return fields, stream.tell()
