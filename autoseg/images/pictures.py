"""Reads and writes 2D pictures: PNG and BMP, and JPEG under one of their names.

Values are those that the file stores: an index where a label map has a palette, 0 and 1 where a
pixel has one bit. Colour profiles, transparent colours and a camera's rotation are not applied.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.images.claims import check_claim
from autoseg.images.library_faults import FAULTS, reason
from autoseg.images.picture_channels import fit_channels, without_constant_alpha
from autoseg.images.plane import plane_geometry
from autoseg.images.png_chunks import SIGNATURE, PngHeader, checked_pixels
from autoseg.schema.geometry import Geometry
from autoseg.schema.serialise import atomic_path

if TYPE_CHECKING:
    from PIL.Image import Image

Array = npt.NDArray[np.generic]

_BEGINNINGS = {
    SIGNATURE: "PNG",
    b"BM": "BMP",
    b"\xff\xd8\xff": "JPEG",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
}
_MODES = ("1", "L", "P", "RGB", "RGBA")
"""Pillow's names of the pixels that are read as they are; not of CMYK and the like."""
_DARK = 64
"""Greys below this are too dark to be looked at."""


def read_picture(
    path: Path, *, is_label_map: bool = False, num_channels: int | None = None
) -> tuple[Array, Geometry]:
    """Reads a picture, or a TIFF, whatever its name says.

    Args:
        path: PNG, BMP, TIFF, or (images only) JPEG.
        is_label_map: Values are labels: a palette's index counts, not its colours.
        num_channels: Wanted, where that is known. Channels that tell nothing are left out to
            reach it: a constant alpha channel, two of three equal colours.

    Returns:
        The voxels [c, z, y, x] and the geometry.

    Raises:
        ImageError: The file is damaged, of another format, or too large for this machine.
    """
    kind = _format(path)
    if kind == "TIFF":
        from autoseg.images.tiff import read_tiff  # a library that few data sets need

        return read_tiff(path, is_label_map=is_label_map, num_channels=num_channels)
    if kind == "JPEG" and is_label_map:
        raise ImageError(f"{path}: a JPEG changes labels. Export the label map as PNG.")
    try:
        array = _READERS[kind](path, is_label_map)
    except FAULTS as error:
        raise ImageError(
            f"{path}: cannot be read as {kind} ({reason(error)}). Copy or export it again."
        ) from None
    if num_channels != len(array):
        array = without_constant_alpha(array)
    if is_label_map or num_channels is not None:
        array = fit_channels(array, num_channels or 1)
    return array[:, None], plane_geometry(*array.shape[1:])


def _format(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({reason(error)}).") from None
    for beginning, name in _BEGINNINGS.items():
        if start.startswith(beginning):
            return name
    what = f"begins with the bytes {start.hex(' ')}" if start else "is an empty file"
    raise ImageError(f"{path}: {what}, which is no PNG, BMP or TIFF. Copy or export it again.")


def _read_png(path: Path, is_label_map: bool) -> Array:
    data = path.read_bytes()
    header, pixels = checked_pixels(data)
    check_claim(path, header.pixel_bytes, len(data), is_label_map=is_label_map)
    if header.has_palette or header.bits < 8:
        return _read_packed_png(header, pixels, is_label_map)
    import imagecodecs  # Pillow takes longer and drops the lower bytes of 16-bit colours

    array: Array = imagecodecs.png_decode(pixels)
    if array.shape[:2] != (header.height, header.width):
        raise ValueError(f"its pixels are {array.shape}")
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)


def _read_packed_png(header: PngHeader, pixels: bytes, is_label_map: bool) -> Array:
    from PIL.PngImagePlugin import PngImageFile

    with PngImageFile(io.BytesIO(pixels)) as image:
        array = _to_array(image, is_label_map)
    if is_label_map and not header.has_palette:
        # Pillow stretches 0 … 3 and 0 … 15 to 0 … 255, but leaves 0 and 1 as they are.
        step = {2: 85, 4: 17}.get(header.bits, 1)
        array = array // np.asarray(step, dtype=array.dtype)
    return array


def _read_bmp(path: Path, is_label_map: bool) -> Array:
    from PIL.BmpImagePlugin import BmpImageFile

    with path.open("rb") as stream, BmpImageFile(stream) as image:
        return _to_array(image, is_label_map, path)


def _read_jpeg(path: Path, is_label_map: bool) -> Array:
    from PIL.JpegImagePlugin import JpegImageFile

    with path.open("rb") as stream, JpegImageFile(stream) as image:
        return _to_array(image, is_label_map, path)


_READERS: dict[str, Callable[[Path, bool], Array]] = {
    "PNG": _read_png,
    "BMP": _read_bmp,
    "JPEG": _read_jpeg,
}


def _to_array(image: Image, is_label_map: bool, path: Path | None = None) -> Array:
    """[c, y, x] of a picture that Pillow opened but did not unpack yet."""
    if image.mode not in _MODES:
        raise ValueError(f"its pixels are {image.mode}; grey and RGB are supported")
    if path is not None:
        pixel_bytes = image.width * image.height * len(image.getbands())
        check_claim(path, pixel_bytes, path.stat().st_size, is_label_map=is_label_map)
    if image.mode == "P" and not is_label_map:
        image = image.convert("RGB")
    array: Array = np.array(image)
    if image.mode == "P":
        _check_greys(np.unique(array), image.getpalette("RGB") or [0])
    if array.dtype == bool:
        array = array.astype(np.uint8)
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)


def _check_greys(indices: Array, palette: list[int]) -> None:
    """Refuses label maps whose labels may be the palette's greys instead of its indices.

    Programs that make files smaller store the greys 0, 1, 4 as the indices 0, 1, 2.
    """
    colours = np.resize(np.asarray(palette), (256, 3))[indices.astype(int)]
    greys = colours[:, 0]
    are_labels = greys.size > 1 and np.unique(greys).size == greys.size and greys.max() < _DARK
    if are_labels and (colours == greys[:, None]).all() and (greys != indices).any():
        raise ValueError(
            f"its palette has the greys {', '.join(map(str, greys[:4]))} for the indices "
            f"{', '.join(map(str, indices[:4]))}: which are labels? Save it without a palette"
        )


def write_picture(path: Path, labels: npt.NDArray[np.integer], geometry: Geometry) -> None:
    """Writes a label map as PNG, BMP or TIFF, atomically.

    Args:
        path: Target; the ending chooses the format.
        labels: [z, y, x] integers; PNG and BMP take one slice of 8 or (PNG) 16 bits.
        geometry: Of the image that was segmented.

    Raises:
        ImageError: The format cannot hold the labels, or the file cannot be written.
    """
    if path.suffix.lower() in (".tif", ".tiff"):
        from autoseg.images.tiff import write_tiff

        write_tiff(path, labels, geometry)
        return
    from PIL.Image import fromarray

    name, most = ("PNG", 65535) if path.suffix.lower() == ".png" else ("BMP", 255)
    if labels.shape[0] != 1:
        raise ImageError(
            f"{path}: {name} holds one slice, the label map has {labels.shape[0]}; use .nii.gz."
        )
    if labels.dtype not in ((np.uint8, np.uint16) if name == "PNG" else (np.uint8,)):
        raise ImageError(f"{path}: labels above {most} do not fit into this format; use .nii.gz.")
    try:
        with atomic_path(path) as temporary:
            fromarray(np.ascontiguousarray(labels[0])).save(
                temporary, format=name, compress_level=1
            )
            _check_written(temporary, labels)
    except FAULTS as error:
        raise ImageError(f"{path}: cannot be written ({reason(error)}).") from None


def _check_written(path: Path, labels: npt.NDArray[np.integer]) -> None:
    """Reads a label map back: what does not come back as it was is not kept."""
    try:
        found = read_picture(path, is_label_map=True)[0][0]
    except ImageError:
        found = None
    if found is None or not np.array_equal(found, labels):
        raise OSError("it came back otherwise than it was written")
