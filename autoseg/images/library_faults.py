"""What image libraries raise on damaged files, and how it is said."""

from __future__ import annotations

import logging
import lzma
import struct
import zlib

FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,  # what Pillow raises on broken headers
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zlib.error,
)
MOST_LETTERS = 120

# What they say of damaged files on the way is said by us, as an error.
for _name in ("tifffile", "imagecodecs"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


def reason(error: BaseException) -> str:
    """One short line of printable text."""
    if isinstance(error, MemoryError):
        return "its voxels do not fit into the memory"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    words = " ".join((text or type(error).__name__).split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)[:MOST_LETTERS]
