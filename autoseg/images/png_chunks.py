"""The parts of a PNG file: every checksum verified, what tells nothing of the pixels left out."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels by PNG's colour type: grey, RGB, palette, grey and alpha, RGB and alpha."""
PALETTE = 3
MOST_PIXELS = 1_000_000
"""Per side; what PNG's own library takes."""


@dataclass(frozen=True, kw_only=True)
class PngHeader:
    """What a PNG file says of its pixels.

    Attributes:
        width: Pixels per row.
        height: Rows.
        bits: Bits per channel: 1, 2, 4, 8 or 16.
        channels: 1 to 4; a palette's index counts as one.
        has_palette: The values are indices of colours.
    """

    width: int
    height: int
    bits: int
    channels: int
    has_palette: bool

    @property
    def pixel_bytes(self) -> int:
        """Bytes of the unpacked pixels; pixels of less than a byte are unpacked to one."""
        return self.width * self.height * self.channels * (2 if self.bits == 16 else 1)


def checked_pixels(data: bytes) -> tuple[PngHeader, bytes]:
    """The header of a PNG file, and the file without texts, profiles and transparent colours.

    Raises:
        ValueError: The file is truncated, damaged or animated; the message says which.
    """
    header: PngHeader | None = None
    kept, found = [memoryview(SIGNATURE)], set()
    for kind, chunk in _chunks(data):
        if (kind == b"IHDR") != (header is None):
            raise ValueError("its header is not the first chunk, or is there twice")
        header = header or _header(bytes(chunk[8:-4]))
        if kind == b"acTL":
            raise ValueError("it is animated; save one picture of it")
        if kind in (b"IHDR", b"IDAT", b"IEND") or (kind == b"PLTE" and header.has_palette):
            kept.append(chunk)
            found.add(kind)
    if header is None or b"IDAT" not in found or (header.has_palette and b"PLTE" not in found):
        raise ValueError("its header, palette or pixels are missing")
    return header, b"".join(kept)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """(kind, whole chunk) up to the end chunk."""
    view = memoryview(data)
    if not data.startswith(SIGNATURE):
        raise ValueError("it does not begin like a PNG file")
    position, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ValueError(f"truncated after {len(data)} bytes")
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            raise ValueError(f"truncated: {len(data)} of at least {end} bytes")
        kind = bytes(view[position + 4 : position + 8])
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise ValueError(f"damaged: wrong checksum in the chunk at byte {position}")
        yield kind, view[position:end]
        position = end


def _header(body: bytes) -> PngHeader:
    if len(body) != 13:
        raise ValueError("its header has a wrong length")
    width, height, bits, colour = struct.unpack(">IIBB", body[:10])
    is_known = bits in (1, 2, 4, 8, 16) and colour in CHANNELS
    if not is_known or not 0 < width <= MOST_PIXELS or not 0 < height <= MOST_PIXELS:
        raise ValueError(f"its header is wrong: {width}x{height}, {bits} bits, colour {colour}")
    return PngHeader(
        width=width,
        height=height,
        bits=bits,
        channels=CHANNELS[colour],
        has_palette=colour == PALETTE,
    )
