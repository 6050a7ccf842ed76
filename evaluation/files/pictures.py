"""PNG, BMP and TIFF files, with the values that they store.

A palette's index is the label, one bit is 0 or 1, and what a printer or a camera wrote about
resolution is no spacing. ITK reads these otherwise, and goes on where packed strips are damaged.
"""

from __future__ import annotations

import json
import logging
import math
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError
from evaluation.files.image import Image
from evaluation.files.packed import check_plain

ENDINGS = (".png", ".tif", ".tiff", ".bmp")
MOST_PER_BYTE = 1200
"""What a byte of a PNG or a BMP can become at most."""
FAULTS = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,  # what Pillow raises on broken headers
    TypeError,
    ValueError,
    MemoryError,
    struct.error,
    zlib.error,
)
Array = npt.NDArray[Any]


def read_picture(path: Path) -> Image:
    """Reads a picture or a stack of them.

    Raises:
        EvaluationError: It cannot be read.
    """
    check_plain(path)
    name = path.name.lower()
    try:
        if name.endswith(".png"):
            array, has_channels = _read_png(path)
        elif name.endswith(".bmp"):
            array, has_channels = _read_bmp(path)
        else:
            array, has_channels = _read_tiff(path)
    except FAULTS as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise EvaluationError(f"{path}: cannot be read ({reason}).") from None
    if has_channels and _tells_one_thing(array):
        array, has_channels = array[0], False
    axes = array.ndim - has_channels
    return Image(
        array=array,
        has_channels=has_channels,
        spacing_mm=_spacing(path) if axes == 3 else (1.0, 1.0),
        origin_mm=(0.0,) * axes,
        direction=tuple(np.eye(axes).ravel().tolist()),
    )


def _tells_one_thing(array: Array) -> bool:
    """Whether channels [c, …] are grey (and alpha, the same everywhere)."""
    if len(array) in (2, 4):
        if array[-1].size and (array[-1] != array[-1].flat[0]).any():
            return False
        array = array[:-1]
    return all(np.array_equal(array[0], channel) for channel in array[1:])


def _read_png(path: Path) -> tuple[Array, bool]:
    from PIL.PngImagePlugin import PngImageFile

    with path.open("rb") as stream:
        bits, colours = _check_chunks(stream)
        stream.seek(0)
        with PngImageFile(stream) as image:
            _check_size(path, image)
            array = _pixels(image)
    if colours == 0 and bits in (2, 4):  # Pillow stretches 0 … 3 and 0 … 15 to 0 … 255
        array = array // np.uint8(85 if bits == 2 else 17)
    return _channels_first(array)


def _check_chunks(stream: BinaryIO) -> tuple[int, int]:
    """Compares the checksum of every chunk of a PNG; returns bits per sample and kind of colours.

    Pillow does not compare those of pixels.
    """
    bits, colours, name = 8, 0, b""
    stream.seek(8)
    while name != b"IEND":
        size, name = struct.unpack(">I4s", stream.read(8))
        data = stream.read(size)
        (checksum,) = struct.unpack(">I", stream.read(4))
        if zlib.crc32(data, zlib.crc32(name)) != checksum:
            raise ValueError("its checksums differ")
        if name == b"IHDR":
            bits, colours = data[8], data[9]
    return bits, colours


def _read_bmp(path: Path) -> tuple[Array, bool]:
    from PIL.BmpImagePlugin import BmpImageFile

    with path.open("rb") as stream, BmpImageFile(stream) as image:
        _check_size(path, image)
        return _channels_first(_pixels(image))


def _check_size(path: Path, image: Any) -> None:
    """Refuses sizes that the file cannot hold, before any memory is taken for them."""
    wanted = image.width * image.height * len(image.getbands())
    if wanted > MOST_PER_BYTE * path.stat().st_size:
        raise ValueError(f"its {path.stat().st_size} bytes cannot hold {wanted} pixels")


def _pixels(image: Any) -> Array:
    if image.mode not in ("1", "L", "P", "LA", "I", "I;16", "I;16B", "RGB", "RGBA"):
        raise ValueError(f"its pixels are {image.mode}; expected grey ones")
    array = np.array(image)
    return array.astype(np.uint8) if array.dtype == bool else array


def _channels_first(array: Array) -> tuple[Array, bool]:
    return (array, False) if array.ndim == 2 else (np.moveaxis(array, -1, 0), True)


def _read_tiff(path: Path) -> tuple[Array, bool]:
    """Pages are slices, samples of a pixel channels."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # what it says is raised
    try:
        with tifffile.TiffFile(path) as file:
            for page in file.pages:
                ends = np.add(page.dataoffsets, page.databytecounts, dtype=np.int64)
                if len(ends) and int(ends.max()) > path.stat().st_size:
                    raise ValueError("truncated: strips of a page are missing")
            series = file.series[0]
            axes, array = series.axes, series.asarray(maxworkers=1)
            if series.kind == "shaped" and axes == "SYX":
                axes = "QYX"  # so tifffile writes three or four slices if nobody tells it otherwise
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from None
    array = array.astype(np.uint8) if array.dtype == bool else array
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if "S" in axes:
        array = np.moveaxis(array, axes.index("S"), 0)
        return array.reshape(len(array), *_squeezed(array.shape[1:])), True
    return array.reshape(_squeezed(array.shape)), False


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Slices, rows and columns, or rows and columns alone."""
    slices = [size for size in shape[:-2] if size > 1]
    if len(slices) > 1:
        raise ValueError(f"its shape is {shape}; expected one stack of slices")
    return (*slices, *shape[-2:])


def _spacing(path: Path) -> tuple[float, ...]:
    """That of nnU-Net's file beside a stack, `case.json` of `case.tif`; 1 mm without one."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return (1.0, 1.0, 1.0)
    try:
        found = tuple(float(step) for step in json.loads(beside.read_bytes())["spacing"])
    except (OSError, ValueError, KeyError, TypeError):
        found = ()
    if len(found) != 3 or not all(0 < step < math.inf for step in found):
        raise EvaluationError(f'{beside}: expected {{"spacing": [z, y, x]}} in mm.')
    return found
