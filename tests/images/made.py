"""Small image files of all volumetric formats, whole and damaged, for tests."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

SHAPE_XYZ = (5, 6, 7)
PIXDIM = {1: (76, "f"), 2: (104, "d")}
"""Where pixdim[0] stands in a NIfTI header, and the type of its values."""


def voxels(seed: int = 0, shape: tuple[int, ...] = SHAPE_XYZ) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def turned(degrees: float = 20.0) -> np.ndarray:
    """A rotation about z, then about x."""
    a = np.deg2rad(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    return about_x @ about_z


def affine(spacing=(1.5, 2.0, 3.0), origin=(-20.0, 30.0, 40.0), rotation=None) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if rotation is None else rotation) * spacing
    matrix[:3, 3] = origin
    return matrix


def write_nifti(path: Path, *, sform=None, qform=None, version=1, order="<", shape=SHAPE_XYZ):
    """With nibabel; a form that is None has the code 0."""
    kind = nib.Nifti1Image if version == 1 else nib.Nifti2Image
    header = kind.header_class(endianness=order)
    image = kind(voxels(shape=shape), None, header)
    image.header.set_zooms((1.5, 2.0, 3.0, 1.0)[: len(shape)])
    image.set_sform(sform, 2 if sform is not None else 0)
    image.set_qform(qform, 1 if qform is not None else 0)
    if qform is None:
        image.header["pixdim"][1:4] = (1.5, 2.0, 3.0)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def edit(path: Path, offset: int, layout: str, *values) -> None:
    """Overwrites bytes of a file, of its content where it is gzip."""
    data = path.read_bytes()
    is_packed = data[:2] == b"\x1f\x8b"
    content = bytearray(gzip.decompress(data) if is_packed else data)
    struct.pack_into(layout, content, offset, *values)
    path.write_bytes(gzip.compress(bytes(content)) if is_packed else bytes(content))


def write_itk(path: Path, array: np.ndarray, *, spacing=(1.5, 2.0, 3.0), packed: bool = True):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[: image.GetDimension()])
    sitk.WriteImage(image, str(path), packed)
    return path


def meta_header(**fields) -> str:
    """Text of a MetaImage header of 2 x 2 x 2 bytes."""
    plain = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False", "CompressedData": "False", "DimSize": "2 2 2",
        "ElementType": "MET_UCHAR", "ElementDataFile": "LOCAL",
    }  # fmt: skip
    last = fields.pop("ElementDataFile", "LOCAL")
    plain.update(fields)
    plain["ElementDataFile"] = plain.pop("ElementDataFile") and last
    return "".join(f"{key} = {value}\n" for key, value in plain.items())


def nrrd_header(**fields) -> str:
    """Text of a NRRD header of 2 x 2 x 2 bytes; "_" in a key stands for a blank."""
    plain = {"type": "uchar", "dimension": "3", "sizes": "2 2 2", "encoding": "raw"}
    plain.update({key.replace("_", " "): value for key, value in fields.items()})
    text = "".join(f"{key}: {value}\n" for key, value in plain.items() if value is not None)
    return f"NRRD0004\n{text}\n"


EIGHT = bytes(range(8))


def write_meta(path: Path, data: bytes = EIGHT, **fields) -> Path:
    path.write_bytes(meta_header(**fields).encode() + data)
    return path


def write_nrrd(path: Path, data: bytes = EIGHT, **fields) -> Path:
    path.write_bytes(nrrd_header(**fields).encode() + data)
    return path
