"""Reads image files of all formats that segmentations come in."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from evaluation.errors import EvaluationError
from evaluation.files import pictures
from evaluation.files.image import Image
from evaluation.files.nifti import read_nifti
from evaluation.files.pictures import read_picture
from evaluation.files.stored import find_voxels

NIFTI = (".nii.gz", ".nii")
ENDINGS = (*NIFTI, ".nrrd", ".mha", ".mhd", *pictures.ENDINGS)


def read_image(path: Path) -> Image:
    """Reads an image.

    Raises:
        EvaluationError: It is no plain file, damaged, or cannot be read.
    """
    name = path.name.lower()
    if name.endswith(NIFTI):
        return read_nifti(path)
    if name.endswith(pictures.ENDINGS):
        return read_picture(path)
    voxels = find_voxels(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        voxels.check(math.prod(reader.GetSize()) * reader.GetNumberOfComponents())
        image = reader.Execute()
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-140:]
        raise EvaluationError(f"{path}: cannot be read ({reason}).") from None
    return _of_itk(path, image)


def _of_itk(path: Path, image: sitk.Image) -> Image:
    array = sitk.GetArrayFromImage(image)
    has_channels = image.GetNumberOfComponentsPerPixel() > 1
    if has_channels:
        array = np.moveaxis(array, -1, 0)
    number = image.GetDimension()
    axes = min(number, 3)
    if number > 3:
        array = array.reshape(-1, *array.shape[-3:])
        has_channels = len(array) > 1
        array = array if has_channels else array[0]
    spacing = image.GetSpacing()[:axes]
    if not all(0 < step < math.inf for step in spacing):
        raise EvaluationError(f"{path}: spacing {list(spacing)} mm is not above 0.")
    direction = np.array(image.GetDirection()).reshape(number, number)[:axes, :axes]
    return Image(
        array=array,
        has_channels=has_channels,
        spacing_mm=tuple(reversed(spacing)),
        origin_mm=tuple(image.GetOrigin()[:axes]),
        direction=tuple(direction.ravel().tolist()),
    )
