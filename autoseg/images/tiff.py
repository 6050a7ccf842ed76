"""Reads TIFF, 2D and 3D, and writes label maps in it.

Values are those that the file stores, so that they are what tifffile, imageio and nnU-Net read: a
palette's index, and grey values as they are even where 0 is to be shown white.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import tifffile

from autoseg.errors import ImageError
from autoseg.images.claims import check_claim
from autoseg.images.library_faults import FAULTS, reason
from autoseg.images.picture_channels import fit_channels, without_constant_alpha
from autoseg.images.plane import plane_geometry
from autoseg.images.spacing_file import find_spacing_file, read_spacing, write_spacing
from autoseg.schema.geometry import Geometry
from autoseg.schema.serialise import atomic_path

Array = npt.NDArray[np.generic]

UNIT_SPACING = (1.0, 1.0, 1.0)
MOST_CLASSIC_BYTES = 2**32 - 2**25
"""Larger files need BigTIFF."""
_FOREIGN = ("mmstack", "ndtiff", "fluoview", "stk", "scanimage", "nih", "mdgel", "eer")
_NOT_FOLLOWED = {f"is_{name}": False for name in _FOREIGN}
"""Descriptions that lead to other files, or that change values: only the pages count there."""
_COLOURS = ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE", "MASK")
_JPEG = (6, 7, 33007, 34892)


def read_tiff(
    path: Path, *, is_label_map: bool = False, num_channels: int | None = None
) -> tuple[Array, Geometry]:
    """Reads a TIFF.

    Pages are slices; samples of a pixel are channels. So are pages that ImageJ or OME call
    channels, where there are slices too, or where just so many channels are wanted.

    Args:
        path: The file.
        is_label_map: It is a label map, `case.tif` with the spacing in `case.json`.
        num_channels: Wanted, where that is known, see `fit_channels`.

    Returns:
        The voxels [c, z, y, x] and the geometry: a 2D image has no spacing, a 3D one that of the
        file beside it, or 1 mm; what printers and cameras write into the file is no spacing.

    Raises:
        ImageError: The file is damaged, of an unknown kind, or too large for this machine.
    """
    wanted = 1 if is_label_map else num_channels
    try:
        with _open(path) as file:
            array, is_volume, has_alpha = _read_voxels(path, file, wanted, is_label_map)
    except (*FAULTS, tifffile.TiffFileError) as error:
        raise ImageError(
            f"{path}: cannot be read as TIFF ({reason(error)}). Copy or export it again."
        ) from None
    dtype = np.dtype(np.uint8) if array.dtype == bool else array.dtype.newbyteorder("=")
    array = array.astype(dtype, copy=False)
    if has_alpha and wanted != len(array):
        array = without_constant_alpha(array)
    if wanted is not None:
        array = fit_channels(array, wanted)
    return array, _geometry(path, array.shape[1:], is_volume, is_label_map)


def _read_voxels(
    path: Path, file: tifffile.TiffFile, wanted: int | None, is_label_map: bool
) -> tuple[Array, bool, bool]:
    """The voxels [c, z, y, x], whether they are a volume, and whether the last is alpha."""
    series = _image_of(file)
    _check_size(path, file, series, is_label_map)
    axes = _axes(series)
    is_shaped = series.kind == "shaped"  # tifffile wrote it
    if is_shaped and wanted == 1 and axes == "SYX":
        axes = "QYX"  # so it writes volumes of three and four slices if nobody tells it otherwise
    array = _arrange(file.asarray(series=series, squeeze=False, maxworkers=1), axes, wanted)
    # Only what tifffile wrote tells a volume of one slice from a picture.
    is_volume = array.shape[1] > 1 or (is_shaped and not set(axes) <= set("SCYX"))
    kinds = [_name(kind) for kind in series.keyframe.extrasamples]
    return array, is_volume, any(kind.endswith("ALPHA") for kind in kinds)


def write_tiff(path: Path, labels: npt.NDArray[np.integer], geometry: Geometry) -> None:
    """Writes a label map atomically; of a 3D one, the spacing beside it.

    Args:
        path: Target.
        labels: [z, y, x] integers, not negative.
        geometry: Of the image that was segmented.

    Raises:
        ImageError: A label is negative or too large, or a file cannot be written.
    """
    is_plane = geometry.dimensions == 2
    array = _unsigned(path, labels[0] if is_plane else labels)
    try:
        if not is_plane:
            write_spacing(path, geometry.spacing_mm)
        with atomic_path(path) as temporary:
            tifffile.imwrite(
                temporary,
                array,
                photometric="minisblack",
                compression="zlib",
                compressionargs={"level": 1},
                metadata={"axes": "YX" if is_plane else "ZYX"},
                bigtiff=array.nbytes > MOST_CLASSIC_BYTES,
            )
            _check_written(temporary, array)
    except (*FAULTS, tifffile.TiffFileError) as error:
        raise ImageError(f"{path}: cannot be written ({reason(error)}).") from None


def _open(path: Path) -> tifffile.TiffFile:
    """Opens a file whose pages are all there."""
    with path.open("rb") as stream:
        count = _count_pages(stream)
    file = tifffile.TiffFile(path, _multifile=False, **_NOT_FOLLOWED)
    if len(file.pages) != count:
        file.close()
        raise ValueError(f"only {len(file.pages)} of {count} pages can be read")
    return file


def _count_pages(stream: IO[bytes]) -> int:
    """Follows the pages from first to last; the library stops without a word where one is lost."""
    order = "<" if stream.read(2) == b"II" else ">"
    is_big = struct.unpack(f"{order}H", stream.read(2))[0] == 43
    count_format, offset_format, tag_bytes = ("Q", "Q", 20) if is_big else ("H", "I", 12)

    def read(kind: str) -> int:
        return int(struct.unpack(order + kind, stream.read(struct.calcsize(order + kind)))[0])

    stream.seek(8 if is_big else 4)
    seen: set[int] = set()
    try:
        while offset := read(offset_format):
            if offset in seen:
                raise ValueError("its pages lead back to an earlier one")
            seen.add(offset)
            stream.seek(offset)
            stream.seek(read(count_format) * tag_bytes, 1)
    except (struct.error, OSError, OverflowError):
        raise ValueError(f"truncated at page {len(seen)}") from None
    return len(seen)


def _image_of(file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """The one image of a file; thumbnails and masks beside it do not count."""
    first, *rest = file.series
    others = [item for item in rest if not (item.keyframe.is_reduced or item.keyframe.is_mask)]
    if others:
        raise ValueError(
            f"it holds several images, {first.shape} and {others[0].shape}; save one of them"
        )
    page = first.keyframe
    colour = _name(page.photometric)
    if colour not in _COLOURS and not (colour == "YCBCR" and page.compression in _JPEG):
        raise ValueError(f"its colours are {colour}; grey, palette and RGB are supported")
    told = file.imagej_metadata or {}
    if first.kind != "imagej" and len(file.pages) == 1 and told.get("images", 1) > 1:
        raise ValueError(f"truncated: ImageJ wrote {told['images']} slices, one is there")
    return first


def _check_size(
    path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries, is_label_map: bool
) -> None:
    """All voxels that the header claims can be there: the library fills up what is missing."""
    page, stored = series.keyframe, file.filehandle.size
    num_bytes = series.size * series.dtype.itemsize
    check_claim(path, num_bytes, stored, is_label_map=is_label_map)
    if series.dataoffset is not None:
        if series.dataoffset + num_bytes > stored:
            raise ValueError(f"truncated: {stored} bytes are too few for {series.shape}")
        return
    if len(series) * math.prod(page.shape) != series.size:
        raise ValueError(f"{len(series)} pages {page.shape} do not make {series.shape}")
    num_parts = math.prod(page.chunked)
    for item in series:
        if item is None:
            raise ValueError("it is one of several files that belong together")
        starts = np.asarray(item.dataoffsets[:num_parts], dtype=np.uint64)
        sizes = np.asarray(item.databytecounts[:num_parts], dtype=np.uint64)
        complete = len(starts) == len(sizes) == num_parts and starts.all() and sizes.all()
        if not complete or (starts + sizes).max() > stored:
            raise ValueError(f"truncated: parts of page {item.index} are missing")


def _axes(series: tifffile.TiffPageSeries) -> str:
    """A letter per axis of a series: S sample, C channel, Y, X; all others count slices."""
    axes = str(series.get_axes(squeeze=False))
    if axes.replace("S", "").endswith("YX"):
        return axes
    page = series.keyframe  # whoever wrote the file called its axes otherwise
    before = len(axes) - len(page.shape)
    if series.get_shape(squeeze=False)[before:] != page.shape:
        raise ValueError(f"its axes are called {axes}")
    return "Q" * before + str(page.axes)


def _arrange(array: Array, axes: str, wanted: int | None) -> Array:
    """[c, z, y, x] of an array whose axes have names."""

    def find(is_meant: Callable[[str], bool]) -> list[int]:
        found = [index for index, letter in enumerate(axes) if is_meant(letter)]
        return [index for index in found if array.shape[index] > 1]

    samples, channels = find("S".__eq__), find("C".__eq__)
    slices = find(lambda letter: letter not in "SCYX")
    if channels and not slices and array.shape[channels[0]] != wanted:
        slices, channels = channels, []  # nnU-Net takes such files as volumes
    channels += samples
    if len(channels) > 1 or len(slices) > 1:
        raise ValueError(f"its axes are {axes} {array.shape}; one volume is expected")
    kept = [*channels, *slices, axes.index("Y"), axes.index("X")]
    single = [index for index in range(array.ndim) if index not in kept]
    found: Array = array.transpose(*single, *kept)[(0,) * len(single)]
    if not slices:
        found = found[..., None, :, :]
    return found if channels else found[None]


def _geometry(path: Path, shape: tuple[int, ...], is_volume: bool, is_label_map: bool) -> Geometry:
    depth, height, width = shape
    beside = find_spacing_file(path, is_label_map=is_label_map) if is_volume else None
    if depth == 1 and beside is None:
        return plane_geometry(height, width)
    return Geometry(
        shape=(depth, height, width),
        spacing_mm=UNIT_SPACING if beside is None else read_spacing(beside),
        origin_mm=(0.0, 0.0, 0.0),
        direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )


def _unsigned(path: Path, labels: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Labels in a type that TIFF readers know: 8, 16 or 32 bits without a sign."""
    if labels.dtype in (np.uint8, np.uint16, np.uint32):
        return labels
    if labels.size and (labels.min() < 0 or labels.max() > np.iinfo(np.uint32).max):
        raise ImageError(
            f"{path}: holds the labels {labels.min()} to {labels.max()}; TIFF takes "
            f"0 to {np.iinfo(np.uint32).max}."
        )
    return labels.astype(np.uint32)


def _check_written(path: Path, labels: npt.NDArray[np.integer]) -> None:
    """Reads a label map back, slice by slice: what comes back otherwise is not kept."""
    with _open(path) as file:
        slices = labels[None] if labels.ndim == 2 else labels
        if len(file.pages) != len(slices) or not all(
            np.array_equal(page.asarray(maxworkers=1), plane)
            for page, plane in zip(file.pages, slices, strict=True)
        ):
            raise OSError("it came back otherwise than it was written")


def _name(value: object) -> str:
    """The name of one of the library's constants; of an unknown one, its number."""
    return str(getattr(value, "name", value))
