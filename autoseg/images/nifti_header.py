"""NIfTI-1 and NIfTI-2 headers: from bytes to fields and back.

Our own few lines and not nibabel's: nibabel, like ITK, mends what is wrong in a header while it
reads it, which hides faults that a user must know; and it stays an independent witness in tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from autoseg.images.compressed import COPY_AGAIN, ImageBytes, unreadable
from autoseg.schema.nifti_placement import NiftiPlacement

_FIELDS_1 = (
    "sizeof_hdr i4,data_type S10,db_name S18,extents i4,session_error i2,regular S1,dim_info u1,"
    "dim 8i2,intent_p 3f4,intent_code i2,datatype i2,bitpix i2,slice_start i2,pixdim 8f4,"
    "vox_offset f4,scl_slope f4,scl_inter f4,slice_end i2,slice_code u1,xyzt_units u1,"
    "cal_max f4,cal_min f4,slice_duration f4,toffset f4,glmax i4,glmin i4,descrip S80,"
    "aux_file S24,qform_code i2,sform_code i2,quatern 3f4,qoffset 3f4,srow 12f4,"
    "intent_name S16,magic S4"
)
_FIELDS_2 = (
    "sizeof_hdr i4,magic S8,datatype i2,bitpix i2,dim 8i8,intent_p 3f8,pixdim 8f8,vox_offset i8,"
    "scl_slope f8,scl_inter f8,cal_max f8,cal_min f8,slice_duration f8,toffset f8,slice_start i8,"
    "slice_end i8,descrip S80,aux_file S24,qform_code i4,sform_code i4,quatern 3f8,qoffset 3f8,"
    "srow 12f8,slice_code i4,xyzt_units i4,intent_code i4,intent_name S16,dim_info u1,unused S15"
)


def _layout(fields: str) -> np.dtype[np.void]:
    return np.dtype([tuple(item.split()) for item in fields.split(",")])


Version = Literal[1, 2]
ByteOrder = Literal["<", ">"]
ORDERS: tuple[ByteOrder, ...] = ("<", ">")
LAYOUTS: dict[Version, np.dtype[np.void]] = {1: _layout(_FIELDS_1), 2: _layout(_FIELDS_2)}
MAGIC: dict[Version, bytes] = {1: b"n+1", 2: b"n+2\0\r\n\x1a\n"}
PAIR_MAGIC = (b"ni1", b"ni2")
DETACHED = "its voxels are in a file of their own"

TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 32: "c8", 64: "f8", 256: "i1",
    512: "u2", 768: "u4", 1024: "i8", 1280: "u8", 1792: "c16",
}  # fmt: skip
"""NIfTI's codes of types of numbers."""

COLOURS = {128: 3, 2304: 4}
"""NIfTI's codes of colours, each channel a byte."""

CODES = range(1, 6)
"""What the codes of the qform and the sform may say; anything else is as good as 0."""


@dataclass(frozen=True, kw_only=True)
class NiftiHeader:
    """What a file must hold and how its voxels are read.

    Attributes:
        shape: Voxels along x, y and, where there are three spatial axes, z.
        channels: Values per voxel that lie in the file one after another, each a whole image.
        colours: Values per voxel that lie beside each other; 1 where there are no colours.
        dtype: Of a value, with its byte order.
        offset: Where the voxels begin.
        slope: What values are multiplied by; 0 where they stay as they are.
        intercept: What is then added.
        placement: Where the image lies.
    """

    shape: tuple[int, ...]
    channels: int
    colours: int
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    placement: NiftiPlacement

    @property
    def voxel_bytes(self) -> int:
        """Bytes of all voxels."""
        return math.prod(self.shape) * self.channels * self.colours * self.dtype.itemsize


def read_header(path: Path, source: ImageBytes) -> NiftiHeader:
    """Reads and checks a header.

    Args:
        path: The file, for messages.
        source: Its bytes from the start; afterwards it stands behind the header.

    Raises:
        ImageError: It is no header, or says what cannot be.
    """
    raw = source.read(LAYOUTS[1].itemsize)
    if len(raw) < LAYOUTS[1].itemsize:
        raise unreadable(path, f"truncated: {len(raw)} bytes are no NIfTI header", COPY_AGAIN)
    version, order = _version(path, raw)
    layout = LAYOUTS[version].newbyteorder(order)
    raw += source.read(layout.itemsize - len(raw))
    if len(raw) < layout.itemsize:
        raise unreadable(path, f"truncated: {len(raw)} bytes are no NIfTI-2 header", COPY_AGAIN)
    fields = np.frombuffer(raw, layout)[0]
    shape, channels = _shape(path, [int(size) for size in fields["dim"]])
    code = int(fields["datatype"])
    if code not in TYPES and code not in COLOURS:
        raise unreadable(path, f"its voxels have NIfTI's type {code}", "Convert them to float32.")
    if code in COLOURS and channels > 1:
        raise unreadable(path, "it has several images in colour", "Make a file of each.")
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    is_plain = code in COLOURS or not math.isfinite(slope) or (slope, intercept) == (1, 0)
    if not is_plain and slope and not math.isfinite(intercept):
        raise unreadable(path, f"scl_inter is {intercept}", "Correct the header.")
    return NiftiHeader(
        shape=shape,
        channels=channels,
        colours=COLOURS.get(code, 1),
        dtype=np.dtype(TYPES.get(code, "u1")).newbyteorder(order),
        offset=_offset(path, float(fields["vox_offset"]), layout.itemsize),
        slope=0.0 if is_plain else slope,
        intercept=intercept,
        placement=_placement(fields, version, order),
    )


def _version(path: Path, raw: bytes) -> tuple[Version, ByteOrder]:
    for order in ORDERS:
        for version, layout in LAYOUTS.items():
            if int(np.frombuffer(raw, order + "i4", 1)[0]) != layout.itemsize:
                continue
            magic = raw[4:8] if version == 2 else raw[344:348]
            if magic.startswith(PAIR_MAGIC):
                raise unreadable(path, DETACHED, "Convert the pair to one .nii.gz.")
            if magic[:3] == MAGIC[version][:3]:
                return version, order
    raise unreadable(path, "it is no NIfTI file", "Rename it or export it again.")


def _shape(path: Path, dim: list[int]) -> tuple[tuple[int, ...], int]:
    """Spatial shape and number of channels."""
    count = dim[0]
    sizes = dim[1 : count + 1]
    if not 1 <= count <= 7 or min(sizes) < 0:
        raise unreadable(path, f"its dim is {dim}", "Correct the header or export it again.")
    if count == 1:
        raise unreadable(path, "it has 1 dimension; 2, 3 or 4 are supported", "")
    others = [size for size in sizes[3:] if size != 1]
    if len(others) > 1:
        raise unreadable(
            path, f"its dim is {dim}; at most one axis besides space is read", "Split the file."
        )
    # ITK writes a 2D image with channels as (x, y, 1, 1, channels).
    num_axes = 2 if count > 4 and sizes[2:4] == [1, 1] else 3
    return tuple(sizes[:num_axes]), (others[0] if others else 1)


def _offset(path: Path, offset: float, header_bytes: int) -> int:
    if not header_bytes <= offset < 2**62:
        raise unreadable(
            path,
            f"vox_offset is {offset:g}: its voxels would begin inside the header",
            "Correct the header or export it again.",
        )
    return int(offset)


def _placement(fields: np.void, version: Version, order: ByteOrder) -> NiftiPlacement:
    def numbers(name: str, count: int) -> tuple[float, ...]:
        return tuple(float(value) for value in fields[name][:count])

    return NiftiPlacement(
        version=version,
        byte_order=order,
        num_axes=min(3, int(fields["dim"][0])),
        dim_info=int(fields["dim_info"]),
        units=int(fields["xyzt_units"]),
        pixdim=numbers("pixdim", 4),  # type: ignore[arg-type]
        qform_code=int(fields["qform_code"]),
        sform_code=int(fields["sform_code"]),
        quaternion=numbers("quatern", 3),  # type: ignore[arg-type]
        offset=numbers("qoffset", 3),  # type: ignore[arg-type]
        sform=numbers("srow", 12),
    )


def header_bytes(shape: tuple[int, ...], dtype: np.dtype[Any], placement: NiftiPlacement) -> bytes:
    """The header of a label map, up to where its voxels begin.

    Args:
        shape: Voxels along x, y (and z).
        dtype: Of the labels, one of NIfTI's.
        placement: Where they lie; also tells the version and the byte order.
    """
    version = placement.version
    fields = np.zeros((), LAYOUTS[version].newbyteorder(placement.byte_order))
    dim = [len(shape), *shape, *([1] * (7 - len(shape)))]
    pixdim = [*placement.pixdim, 0, 0, 0, 0]
    fields["sizeof_hdr"] = LAYOUTS[version].itemsize
    fields["magic"] = MAGIC[version]
    fields["dim_info"] = placement.dim_info
    fields["dim"] = dim
    fields["datatype"] = next(
        code for code, name in TYPES.items() if np.dtype(name) == dtype.newbyteorder("=")
    )
    fields["bitpix"] = 8 * dtype.itemsize
    fields["pixdim"] = pixdim
    fields["vox_offset"] = LAYOUTS[version].itemsize + 4
    fields["scl_slope"] = 1
    fields["xyzt_units"] = placement.units
    fields["qform_code"] = placement.qform_code
    fields["sform_code"] = placement.sform_code
    fields["quatern"] = placement.quaternion
    fields["qoffset"] = placement.offset
    fields["srow"] = placement.sform
    if version == 1:
        fields["regular"] = b"r"
    return fields.tobytes() + bytes(4)  # no extensions follow
