"""Which of a NIfTI header's two forms places the image, and what the other one says.

One rule, nibabel's: the sform where its code is above 0, else the qform where its code is, else
the spacing alone, with the image's centre at the origin and x growing to the left.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.images.affine import FARTHEST_MM, ROUNDING, check_spacing, make_geometry
from autoseg.images.nifti_header import CODES
from autoseg.schema.geometry import Geometry
from autoseg.schema.nifti_placement import NiftiPlacement

DISAGREEMENT_VOXELS = 0.5
"""By how much the forms may differ anywhere in the image before that is said."""

MILLIMETRES = {1: 1000.0, 3: 0.001}
"""Millimetres in NIfTI's units of space, where they are not millimetres."""

Floats = npt.NDArray[np.float64]


def place(path: Path, shape: tuple[int, ...], placement: NiftiPlacement) -> Geometry:
    """The geometry that the header gives.

    Args:
        path: The file, for messages.
        shape: Voxels along x, y (and z).
        placement: What the header says.

    Raises:
        ImageError: A spacing is not positive, or the axes are not at right angles.
    """
    name, affine = next(iter(_forms(shape, placement).items()))
    _check_pixdim(path, shape, placement, affine, name)
    scale = MILLIMETRES.get(placement.units & 7, 1.0)
    stated = scale * np.abs(placement.pixdim[1 : 1 + len(shape)])
    return replace(_geometry(path, shape, placement, affine, stated), nifti=placement)


def other_places(path: Path, geometry: Geometry) -> list[Geometry]:
    """Where forms that are not followed would put the image; those that mean nothing are left out.

    Args:
        path: The image, for messages.
        geometry: Its geometry.
    """
    if geometry.nifti is None:
        return []
    shape = geometry.shape[: -1 - geometry.dimensions : -1]
    found = []
    for affine in list(_forms(shape, geometry.nifti).values())[1:]:
        if not _is_place(affine):
            continue
        try:
            found.append(_geometry(path, shape, geometry.nifti, affine, None))
        except ImageError:
            continue
    return found


def disagreement_voxels(geometry: Geometry) -> float:
    """How far sform and qform place the same voxel apart at most, in voxels; 0 without both."""
    if geometry.nifti is None:
        return 0.0
    shape = geometry.shape[: -1 - geometry.dimensions : -1]
    forms = list(_forms(shape, geometry.nifti).values())
    if len(forms) < 2:
        return 0.0
    followed, other = forms
    if not _is_place(other):
        return np.inf
    corners = np.array(
        [[*corner, 1.0] for corner in itertools.product(*((0, size - 1) for size in shape))]
    ).T
    steps = np.sqrt((followed[:, : len(shape)] ** 2).sum(axis=0)).min()
    apart = (other - followed)[:, [*range(len(shape)), 3]] @ corners / steps
    return float(np.sqrt((apart**2).sum(axis=0)).max())


def placement_of(geometry: Geometry) -> NiftiPlacement:
    """What a NIfTI header says of an image that comes from elsewhere: both forms, the same."""
    directions = np.eye(3)
    directions[: geometry.dimensions, : geometry.dimensions] = np.reshape(
        geometry.direction, (geometry.dimensions, -1)
    )
    directions[:2] *= -1  # ITK counts to the left and back, NIfTI to the right and front
    origin = np.zeros(3)
    origin[: geometry.dimensions] = geometry.origin_mm
    origin[:2] *= -1
    spacing = [*geometry.spacing_mm[:0:-1], geometry.spacing_mm[0]]
    if geometry.dimensions == 2:
        spacing[2] = 1.0
    handedness = -1.0 if np.linalg.det(directions) < 0 else 1.0
    quaternion = _quaternion(directions * [1, 1, handedness])
    affine = np.column_stack([directions * spacing, origin])
    is_large = max(geometry.shape) > np.iinfo(np.int16).max
    return NiftiPlacement(
        version=2 if is_large else 1,
        byte_order="<",
        num_axes=geometry.dimensions,
        dim_info=0,
        units=2,
        pixdim=(handedness, spacing[0], spacing[1], spacing[2]),
        qform_code=1,
        sform_code=1,
        quaternion=quaternion,
        offset=(float(origin[0]), float(origin[1]), float(origin[2])),
        sform=tuple(float(value) for value in affine.flat),
    )


def _geometry(
    path: Path,
    shape: Sequence[int],
    placement: NiftiPlacement,
    affine: Floats,
    stated: Floats | None,
) -> Geometry:
    scale = MILLIMETRES.get(placement.units & 7, 1.0)
    lps = affine * scale * np.array([[-1.0], [-1.0], [1.0]])
    return make_geometry(path, shape, lps[:, : len(shape)], lps[:, 3].tolist(), stated)


def _forms(shape: Sequence[int], placement: NiftiPlacement) -> dict[str, Floats]:
    """[3, 4] each, in the header's units; the first is the one to follow."""
    forms = {}
    if placement.sform_code in CODES:
        forms["sform"] = np.reshape(placement.sform, (3, 4)).astype(float)
    if placement.qform_code in CODES:
        forms["qform"] = _qform(placement)
    return forms or {"pixdim": _centred(shape, placement)}


def _is_place(affine: Floats) -> bool:
    return bool((np.abs(affine) < FARTHEST_MM).all())  # and no NaN


def _qform(placement: NiftiPlacement) -> Floats:
    if not (np.abs([*placement.quaternion, *placement.pixdim]) < FARTHEST_MM).all():
        return np.full((3, 4), np.nan)
    b, c, d = placement.quaternion
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    length = np.sqrt(a * a + b * b + c * c + d * d)  # above 1 where the header was rounded
    a, b, c, d = (value / length for value in (a, b, c, d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    steps = np.abs(placement.pixdim[1:4])
    if placement.pixdim[0] == -1:
        steps[2] *= -1
    return np.column_stack([rotation * steps, placement.offset])


def _centred(shape: Sequence[int], placement: NiftiPlacement) -> Floats:
    if not (np.abs(placement.pixdim) < FARTHEST_MM).all():
        return np.full((3, 4), np.nan)
    steps = np.ones(3)
    steps[: len(shape)] = np.abs(placement.pixdim[1 : 1 + len(shape)])
    sizes = np.ones(3)
    sizes[: len(shape)] = shape
    columns = np.diag(steps * [-1, 1, 1])
    return np.column_stack([columns, -columns @ (sizes - 1) / 2])


def _check_pixdim(
    path: Path, shape: Sequence[int], placement: NiftiPlacement, affine: Floats, form: str
) -> None:
    """Refuses spacings that programs read differently: 0, not finite, of another sign and size.

    A negative spacing of the right size is how some old programs write a reversed axis; every
    program takes its size then.
    """
    steps = np.array(placement.pixdim[1 : 1 + len(shape)])
    matters = np.array(shape) > 1 if form == "sform" else np.ones(len(shape), bool)
    if (matters & ((steps == 0) | ~(np.abs(steps) < FARTHEST_MM))).any():
        check_spacing(path, steps)
    if not _is_place(affine):
        raise ImageError(f"{path}: its {form} is not finite. Correct the header.")
    lengths = np.sqrt((affine[:, : len(shape)] ** 2).sum(axis=0))
    if (
        form == "sform"
        and (matters & (steps < 0) & (np.abs(-steps - lengths) > 10 * ROUNDING * lengths)).any()
    ):
        check_spacing(path, steps)


def _quaternion(rotation: Floats) -> tuple[float, float, float]:
    """b, c and d of a rotation, with a at least 0: the eigenvector of Bar-Itzhack (2000)."""
    m = rotation
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], 0],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], np.trace(m)],
        ]
    )
    _, vectors = np.linalg.eigh(k / 3)
    b, c, d, _ = vectors[:, -1] * (-1 if vectors[3, -1] < 0 else 1)
    return float(b), float(c), float(d)
