"""Reads image files of all formats that segmentations come in."""

from __future__ import annotations

import math
from pathlib import Path

import SimpleITK as sitk

from evaluation.errors import EvaluationError
from evaluation.files import pictures
from evaluation.files.image import Image, from_itk
from evaluation.files.nifti import read_nifti
from evaluation.files.packed import has_plain_name
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
    if not has_plain_name(path):
        raise EvaluationError(f"{path}: the name needs a UTF-8 locale, such as LC_ALL=C.UTF-8.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        voxels.check(math.prod(reader.GetSize()) * reader.GetNumberOfComponents())
        image = reader.Execute()
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-140:]
        raise EvaluationError(f"{path}: cannot be read ({reason}).") from None
    return from_itk(path, image, sitk.GetArrayFromImage(image))
