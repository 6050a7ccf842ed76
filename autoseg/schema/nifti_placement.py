"""What a NIfTI header says about where its voxels lie, exactly as it stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class NiftiPlacement:
    """The fields of a NIfTI header that place an image in the world.

    A label map that carries all of them lies on its image in every program, whichever of the
    fields that program follows.

    Attributes:
        version: 1 or 2.
        byte_order: "<" or ">".
        num_axes: Spatial axes, 2 or 3.
        dim_info: Which axes are frequency, phase and slice.
        units: The code of the units of space and time (`xyzt_units`).
        pixdim: Sign of the third axis of the qform, then the spacing along x, y and z.
        qform_code: What the qform refers to; 0 where there is none.
        sform_code: What the sform refers to; 0 where there is none.
        quaternion: Rotation of the qform: b, c, d.
        offset: Translation of the qform.
        sform: Rows of the sform, one after another.
    """

    version: Literal[1, 2]
    byte_order: Literal["<", ">"]
    num_axes: int
    dim_info: int
    units: int
    pixdim: tuple[float, float, float, float]
    qform_code: int
    sform_code: int
    quaternion: tuple[float, float, float]
    offset: tuple[float, float, float]
    sform: tuple[float, ...]
