from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.errors import ImageError
from autoseg.images.files import FILE_ENDINGS, read_case, read_image, voxel_volume_ml, write_labels


@pytest.mark.parametrize("ending", FILE_ENDINGS)
@pytest.mark.parametrize("dims", [2, 3])
def test_label_maps_are_read_as_they_were_written(tmp_path, ending, dims):
    if dims == 3 and ending in (".png", ".bmp"):
        pytest.skip("the format holds one slice")
    shape = (5, 6, 7)[-dims:]
    image = sitk.GetImageFromArray(np.zeros(shape, np.uint8))
    source = tmp_path / f"image{ending}"
    sitk.WriteImage(image, str(source))
    geometry = read_image(source)[1]
    labels = np.random.default_rng(0).integers(0, 5, geometry.shape).astype(np.uint8)
    write_labels(tmp_path / f"out{ending}", labels, geometry)
    found, found_geometry = read_image(tmp_path / f"out{ending}")
    assert (found[0] == labels).all()
    assert found_geometry == geometry
    leftovers = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert leftovers == []


def test_channels_may_lie_in_one_file_or_in_several(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(tmp_path / "rgb.png"))
    image, geometry = read_case((tmp_path / "rgb.png",))
    assert image.shape == (3, 1, 4, 5)
    assert image.dtype == np.float32
    assert (image[1, 0] == array[..., 1]).all()
    assert geometry.spacing_mm == (999, 1, 1)
    four = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    volumes = [sitk.GetImageFromArray(part) for part in four]
    sitk.WriteImage(sitk.JoinSeries(volumes), str(tmp_path / "four.nii.gz"))
    assert (read_case((tmp_path / "four.nii.gz",))[0] == four).all()
    for index, volume in enumerate(volumes):
        sitk.WriteImage(volume, str(tmp_path / f"a_{index}.nii.gz"))
    assert (read_case((tmp_path / "a_0.nii.gz", tmp_path / "a_1.nii.gz"))[0] == four).all()


def test_channels_of_different_shape_are_refused(tmp_path):
    for index in range(2):
        sitk.WriteImage(
            sitk.GetImageFromArray(np.ones((3, 3, 3 + index))), str(tmp_path / f"{index}.mha")
        )
    with pytest.raises(ImageError, match="the channels differ in shape"):
        read_case((tmp_path / "0.mha", tmp_path / "1.mha"))


def test_labels_that_do_not_fit_a_format_are_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4), np.uint8)), str(tmp_path / "a.png"))
    geometry = read_image(tmp_path / "a.png")[1]
    with pytest.raises(ImageError, match="above 65535 do not fit"):
        write_labels(tmp_path / "b.png", np.zeros((1, 4, 4), np.int32), geometry)
    assert voxel_volume_ml(geometry) == 0.001


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_truncated_nifti_files_are_found(tmp_path, ending, share):
    path = tmp_path / f"a{ending}"
    array = np.random.default_rng(0).normal(size=(9, 8, 7)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ImageError, match=r"cannot be read .*Export it again"):
        read_image(path)


def test_gzip_files_of_several_members_are_read(tmp_path):
    import gzip

    array = np.random.default_rng(0).normal(size=(9, 8, 7)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "a.nii"))
    data = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(data[:900]) + gzip.compress(data[900:]))
    assert (read_image(tmp_path / "b.nii.gz")[0][0] == array).all()
