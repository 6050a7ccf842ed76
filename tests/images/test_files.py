from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.errors import ImageError
from autoseg.images.files import (
    FILE_ENDINGS,
    from_sitk,
    read_case,
    read_image,
    voxel_volume_ml,
    write_labels,
)


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
    with pytest.raises(ImageError, match=r"1.mha: geometry differs from 0.mha: shape"):
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
    with pytest.raises(ImageError, match=r"cannot be read .*Copy or export it again"):
        read_image(path)


def test_gzip_files_of_several_members_are_read(tmp_path):
    import gzip

    array = np.random.default_rng(0).normal(size=(9, 8, 7)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "a.nii"))
    data = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(data[:900]) + gzip.compress(data[900:]))
    assert (read_image(tmp_path / "b.nii.gz")[0][0] == array).all()


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png"])
def test_endings_may_be_in_capitals(tmp_path, ending):
    array = np.random.default_rng(0).integers(0, 5, (1, 6, 7)).astype(np.uint8)
    image = sitk.GetImageFromArray(array if ending != ".png" else array[0])
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
    (tmp_path / f"a{ending}").rename(tmp_path / f"B{ending.upper()}")
    found, geometry = read_image(tmp_path / f"B{ending.upper()}")
    assert np.array_equal(found[0], array)
    write_labels(tmp_path / f"C{ending.upper()}", array, geometry)
    again = read_image(tmp_path / f"C{ending.upper()}")
    assert np.array_equal(again[0][0], array)
    assert again[1] == geometry


def test_a_file_that_is_something_else_than_its_name_says_is_read(tmp_path):
    array = np.random.default_rng(0).integers(0, 5, (5, 6, 7)).astype(np.uint8)
    for ending in (".nrrd", ".mha"):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"a{ending}"))
        (tmp_path / f"a{ending}").rename(tmp_path / "b.nii.gz")
        assert np.array_equal(read_image(tmp_path / "b.nii.gz")[0][0], array)


@pytest.mark.parametrize("ending", FILE_ENDINGS[:5])
@pytest.mark.parametrize("content", [b"", b"x", b"no image at all" * 100])
def test_files_that_are_no_images_are_refused(tmp_path, ending, content):
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=f"^{path}: ") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_or_has_no_known_ending_is_refused(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.nii.gz")
    (tmp_path / "a.txt").write_text("x")
    for name, said in (("pipe.nii.gz", "no such file"), ("a.txt", "is no image. Known: .nii.gz")):
        with pytest.raises(ImageError, match=said):
            read_image(tmp_path / name)


def test_a_case_is_checked_as_at_planning(tmp_path):
    array = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    image = sitk.GetImageFromArray(array)
    sitk.WriteImage(image, str(tmp_path / "a_0000.nrrd"))
    image.SetOrigin((5, 0, 0))
    image[3, 3, 3] = np.nan
    sitk.WriteImage(image, str(tmp_path / "a_0001.nrrd"))
    paths = (tmp_path / "a_0000.nrrd", tmp_path / "a_0001.nrrd")
    with pytest.raises(ImageError) as caught:
        read_case(paths)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{paths[1]}: holds NaN or infinity in 1 voxels")
    assert second.startswith(f"{paths[1]}: geometry differs from a_0000.nrrd: origin")
    with pytest.raises(ImageError, match="image: holds NaN"):
        from_sitk([image])


def test_numbers_that_are_infinite_in_float32_are_found(tmp_path):
    array = np.random.default_rng(0).normal(size=(5, 6, 7))
    array[1, 2, 3] = 1e300
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "a.mha"))
    with pytest.raises(ImageError, match="NaN or infinity in 1 voxels"):
        read_case((tmp_path / "a.mha",))


def test_warnings_of_a_case_are_given_to_who_asks(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((5, 6, 7))), str(tmp_path / "a.mha"))
    said: list[str] = []
    read_case((tmp_path / "a.mha",), warn=said.append)
    assert len(said) == 1
    assert said[0].startswith(f"{tmp_path / 'a.mha'}: all voxels: the same value")
