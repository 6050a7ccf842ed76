"""NIfTI files: header and voxels, checked to the last byte.

ITK unpacks fast, but reads what is missing as zeros, NaN as 0, and compares no checksums: what it
read is taken where the file's own checksum fits it. Everything else is read here. Where an image
lies says ITK, and where it cannot (axes that are not quite at right angles) the header.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from evaluation.errors import EvaluationError
from evaluation.files.image import Image, from_itk
from evaluation.files.packed import MOST_PER_BYTE, Packed, has_plain_name, open_packed

SHEAR_TOLERANCE_VOXELS = 0.1
"""By how much a right-angled grid may miss the file's at a corner of the image."""
TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8",
    1280: "u8",
}  # fmt: skip
COLOURS = {128: 3, 2304: 4}
HEADERS = {
    348: {
        "magic": (344, "4s"), "dim": (40, "8h"), "datatype": (70, "h"), "pixdim": (76, "8f"),
        "vox_offset": (108, "f"), "scale": (112, "2f"), "codes": (252, "2h"),
        "quatern": (256, "3f"), "qoffset": (268, "3f"), "srow": (280, "12f"),
    },
    540: {
        "magic": (4, "8s"), "dim": (16, "8q"), "datatype": (12, "h"), "pixdim": (104, "8d"),
        "vox_offset": (168, "q"), "scale": (176, "2d"), "codes": (344, "2i"),
        "quatern": (352, "3d"), "qoffset": (376, "3d"), "srow": (400, "12d"),
    },
}  # fmt: skip
"""Bytes of a header → where its fields are, and their types."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of its voxels.

    Attributes:
        sizes: Voxels per axis, x first.
        channels: Values per voxel that follow each other (colours).
        dtype: Of a value, with its byte order.
        lead: Everything before the voxels.
        slope: What values are multiplied by; 0: they stay as they are.
        intercept: What is then added.
        affine: [3, 4] voxel (x, y, z) → mm, as the header counts the world.
    """

    sizes: tuple[int, ...]
    channels: int
    dtype: np.dtype[Any]
    lead: bytes
    slope: float
    intercept: float
    affine: Floats

    @property
    def voxel_bytes(self) -> int:
        """Bytes of all voxels."""
        return math.prod(self.sizes) * self.channels * self.dtype.itemsize


def read_nifti(path: Path) -> Image:
    """Reads a .nii or .nii.gz file.

    Raises:
        EvaluationError: It is damaged, or of a kind that is not read.
    """
    with open_packed(path) as source:
        header = _read_header(path, source)
        _check_spacing(path, header)
        found = _read_by_itk(path, header) if source.is_packed and has_plain_name(path) else None
        if found is not None:
            return found
        raw = source.voxels(header.voxel_bytes)
        source.finish()
    values = raw.view(header.dtype)
    array = values.astype(header.dtype.newbyteorder("="), copy=False)
    if header.slope:
        array = array * header.slope + header.intercept
    shape = tuple(reversed(header.sizes))
    if header.channels > 1:
        array = np.moveaxis(array.reshape(*shape, header.channels), -1, 0)
    else:
        array = array.reshape(shape if len(shape) <= 3 else (-1, *shape[-3:]))
    spacing, origin, direction = _place(path, header)
    return Image(
        array=array,
        has_channels=len(shape) > 3 or header.channels > 1,
        spacing_mm=spacing,
        origin_mm=origin,
        direction=direction,
        step=abs(header.slope),
    )


def _check_spacing(path: Path, header: Header) -> None:
    """Refuses voxels of no size, for which ITK takes 1 mm without a word."""
    columns = header.affine[:, : min(len(header.sizes), 3)]
    lengths = np.sqrt((columns**2).sum(axis=0))
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise EvaluationError(f"{path}: spacing {lengths.tolist()} mm is not above 0.")


def _read_by_itk(path: Path, header: Header) -> Image | None:
    """What ITK reads of a packed file, if the checksum of header and voxels is the file's."""
    with path.open("rb") as stream:
        stream.seek(-8, 2)
        checksum, size = struct.unpack("<2I", stream.read(8))
        packed = stream.tell()
    unpacked = len(header.lead) + header.voxel_bytes
    if size != unpacked % (1 << 32) or unpacked > MOST_PER_BYTE * packed or header.slope:
        return None
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError:
        return None
    array = sitk.GetArrayFromImage(image)
    if array.dtype != header.dtype or zlib.crc32(array, zlib.crc32(header.lead)) != checksum:
        return None
    return from_itk(path, image, array)


def _read_header(path: Path, source: Packed) -> Header:
    raw = source.read(348)
    order, size = _byte_order(path, raw)
    raw += source.read(size - len(raw))
    if len(raw) < size:
        raise _unreadable(path, "its header is truncated")

    def field(name: str) -> tuple[Any, ...]:
        place, form = HEADERS[size][name]
        return struct.unpack_from(order + form, raw, place)

    if field("magic")[0][:1] != b"n" or field("magic")[0][1:2] != b"+":
        raise _unreadable(path, "its voxels are in a file of their own, or it is no NIfTI file")
    (code,), (slope, intercept) = field("datatype"), field("scale")
    if code not in TYPES and code not in COLOURS:
        raise _unreadable(path, f"its voxels have NIfTI's type {code}")
    is_plain = not math.isfinite(slope) or not slope or (slope, intercept) == (1, 0)
    offset = float(field("vox_offset")[0])
    if offset and not size <= offset < 1 << 40:
        raise _unreadable(path, f"vox_offset is {offset:g}")
    return Header(
        sizes=_sizes(path, field("dim")),
        channels=COLOURS.get(code, 1),
        dtype=np.dtype(TYPES.get(code, "u1")).newbyteorder(order),  # type: ignore[arg-type]
        lead=raw + source.read(max(int(offset), size + 4) - size),
        slope=0.0 if is_plain else slope,
        intercept=0.0 if is_plain else intercept,
        affine=_affine(field),
    )


def _byte_order(path: Path, raw: bytes) -> tuple[str, int]:
    """Byte order, and bytes of the header."""
    for order in "<>" if len(raw) >= 4 else "":
        (size,) = struct.unpack(f"{order}i", raw[:4])
        if size in HEADERS:
            return order, size
    raise _unreadable(path, "it is no NIfTI file")


def _sizes(path: Path, dim: tuple[int, ...]) -> tuple[int, ...]:
    """Voxels per axis, without axes of one voxel behind the spatial ones."""
    sizes = list(dim[1 : dim[0] + 1]) if 2 <= dim[0] <= 7 else [0]
    if min(sizes) < 1:
        raise _unreadable(path, f"its dim is {dim}")
    return tuple(sizes[:3] + [size for size in sizes[3:] if size > 1])


def _affine(field: Callable[[str], tuple[Any, ...]]) -> Floats:
    """[3, 4] voxel → mm: the sform, else the qform, else the voxel sizes."""
    qform, sform = field("codes")
    pixdim = np.asarray(field("pixdim"), dtype=np.float64)
    if sform > 0:
        return np.asarray(field("srow"), dtype=np.float64).reshape(3, 4)
    result = np.zeros((3, 4))
    if qform <= 0:
        result[:, :3] = np.diag(pixdim[1:4] * (-1, -1, 1))
        return result
    b, c, d = field("quatern")
    a = math.sqrt(max(1 - b * b - c * c - d * d, 0.0))
    turned = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ]
    side = -1.0 if pixdim[0] < 0 else 1.0
    result[:, :3] = np.array(turned) * np.abs(pixdim[1:4]) * (1, 1, side)
    result[:, 3] = field("qoffset")
    return result


def _place(
    path: Path, header: Header
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Spacing per axis of the array, origin and directions, as ITK has them."""
    axes = min(len(header.sizes), 3)
    reader = _placed_by_itk(path)
    if reader is None:
        spacing, origin, directions = _right_angled(path, header)
    else:
        number = reader.GetDimension()
        spacing, origin = np.array(reader.GetSpacing()), np.array(reader.GetOrigin())
        directions = np.array(reader.GetDirection()).reshape(number, number)
    spacing, origin = spacing[:axes], origin[:axes]
    return (
        tuple(spacing[::-1].tolist()),
        tuple(origin.tolist()),
        tuple(directions[:axes, :axes].ravel().tolist()),
    )


def _placed_by_itk(path: Path) -> sitk.ImageFileReader | None:
    """A reader that knows where an image lies; None where ITK cannot read that."""
    if not has_plain_name(path):
        return None
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    return reader


def _right_angled(path: Path, header: Header) -> tuple[Floats, Floats, Floats]:
    """The nearest grid with right angles, where it is near enough.

    Raises:
        EvaluationError: It is not; the message says by how much.
    """
    flip = np.array([-1.0, -1.0, 1.0])  # ITK counts to the left and back
    columns = header.affine[:, :3] * flip[:, None]
    lengths = np.sqrt((columns**2).sum(axis=0))
    lengths = np.where(lengths > 0, lengths, 1.0)  # of axes that a 2D image lacks
    if not np.isfinite(header.affine).all():
        raise _unreadable(path, "its header does not say where the voxels lie")
    left, _, right = np.linalg.svd(columns / lengths)
    nearest = left @ right
    sizes = (*header.sizes[:3], 1)[:3]
    corners = np.array(list(itertools.product(*((0, size - 1) for size in sizes)))).T
    apart = nearest.T @ (columns / lengths - nearest) @ (corners * lengths[:, None])
    voxels = float(np.abs(apart / lengths[:, None]).max())
    if voxels > SHEAR_TOLERANCE_VOXELS:
        raise EvaluationError(
            f"{path}: its axes are not at right angles; the nearest grid that has them is "
            f"{voxels:.2g} voxels off at a corner, at most {SHEAR_TOLERANCE_VOXELS} is accepted. "
            "Resample reference and prediction."
        )
    return lengths, header.affine[:, 3] * flip, nearest


def _unreadable(path: Path, reason: str) -> EvaluationError:
    return EvaluationError(f"{path}: cannot be read ({reason}).")
