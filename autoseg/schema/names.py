"""Names that become files and folders."""

from __future__ import annotations

MAX_NAME_BYTES = 200


def name_fault(what: str, name: str) -> str | None:
    """Why a name cannot be that of a file, in words, or None.

    A name that comes from a file must not lead out of its folder.

    Args:
        what: What the name is of, for the message.
        name: The name.
    """
    leaves = name in ("", ".", "..") or any(letter in name for letter in "/\\\0")
    odd = any(not letter.isprintable() for letter in name)
    long = len(name.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES
    if leaves or odd or long:
        return f"{what} is {name[:60]!r}, which is no name of a file"
    return None
