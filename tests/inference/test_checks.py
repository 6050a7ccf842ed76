"""What planning refuses in an image, prediction refuses too, in the same words."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.checkpoint import save_checkpoint
from autoseg.cli import umbrella
from autoseg.errors import ImageError
from autoseg.inference.network import Options
from autoseg.inference.predictor import Predictor
from autoseg.schema.plan import ChannelPlan
from dataset_conversion import DatasetWriter
from tests.conftest import make_geometry
from tests.inference.test_predictor import model, noise

CHANNELS = tuple(
    ChannelPlan(name=name, normalisation="zscore", use_mask=False) for name in ("T1", "T2")
)


def voxel(value):
    def change(image: sitk.Image) -> sitk.Image:
        image[3, 4, 5] = value
        return image

    return change


def header(**values):
    def change(image: sitk.Image) -> sitk.Image:
        for key, value in values.items():
            getattr(image, f"Set{key}")(value)
        return image

    return change


def shorter(image: sitk.Image) -> sitk.Image:
    return image[:, :, 1:]


def text(old: str, new: str):
    """Changes the header of a file that says it in words."""

    def change(path) -> None:
        data = path.read_bytes()
        assert old.encode() in data
        path.write_bytes(data.replace(old.encode(), new.encode(), 1))

    return change


MHA_SPACING = "ElementSpacing = 1 1 1"
DAMAGES = [
    (".mha", voxel(np.nan), "holds NaN or infinity in 1 voxels"),
    (".nrrd", voxel(np.nan), "holds NaN or infinity in 1 voxels"),
    (".nii.gz", voxel(np.nan), "holds NaN or infinity in 1 voxels"),
    (".nrrd", voxel(-np.inf), "holds NaN or infinity in 1 voxels"),
    (".mha", header(Origin=(4, 0, 0)), "geometry differs from .*origin"),
    (".nrrd", header(Spacing=(1, 1, 3)), "geometry differs from .*spacing"),
    (".nii.gz", header(Direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)), "geometry differs.*direction"),
    (".mha", shorter, "geometry differs from .*shape"),
    (".mha", text(MHA_SPACING, "ElementSpacing = 0 1 1"), "spacing"),
    (".mha", text(MHA_SPACING, "ElementSpacing = 1 nan 1"), "spacing"),
    (".mha", text(MHA_SPACING, "ElementSpacing = 1 1 inf"), "spacing"),
    (".mha", text(MHA_SPACING, "ElementSpacing = 1 -1 1"), "spacing"),
]


def write_cases(root, ending: str):
    """A data set of two cases with two channels."""
    writer = DatasetWriter(
        root,
        channel_names=["T1", "T2"],
        labels={"background": 0, "a": 1},
        file_ending=ending,
    )
    rng = np.random.default_rng(0)
    labels = np.ones((8, 16, 16), np.uint8)
    for name in ("bad", "good"):
        images = [rng.uniform(1, 2, labels.shape).astype(np.float32) for _ in range(2)]
        writer.add(name, images, labels)
    writer.finish()
    return root / "imagesTr"


def told(error: str, name: str) -> list[str]:
    """What stderr says of a file."""
    return [line.split(name, 1)[1] for line in error.splitlines() if name in line]


@pytest.mark.parametrize(("ending", "change", "message"), DAMAGES)
def test_planning_and_prediction_refuse_the_same(tmp_path, capfd, ending, change, message):
    images = write_cases(tmp_path / "Dataset001_Two", ending)
    path = images / f"bad_0001{ending}"
    if change.__qualname__.startswith("text"):
        sitk.WriteImage(sitk.ReadImage(str(path)), str(path), useCompression=False)
        change(path)
    else:
        sitk.WriteImage(change(sitk.ReadImage(str(path))), str(path))
    plan = ["plan", str(images.parent), "--workspace", str(tmp_path / "w"), "--workers", "1"]
    assert umbrella.main(plan) == 1
    (planning,) = told(capfd.readouterr().err, path.name)
    save_checkpoint(tmp_path / "m.pt", model(channels=CHANNELS))
    predict = ["predict", str(tmp_path / "m.pt"), "-i", str(images), "-o", str(tmp_path / "out")]
    assert umbrella.main([*predict, "--device", "cpu"]) == 1
    captured = capfd.readouterr()
    (prediction,) = told(captured.err, path.name)
    assert planning == prediction
    assert re.search(message, prediction)
    assert [item.name for item in (tmp_path / "out").iterdir()] == [f"good{ending}"]
    assert "1 cases are in" in captured.out


def test_a_black_channel_is_named_and_predicted(tmp_path, capfd):
    images = write_cases(tmp_path / "Dataset001_Two", ".nrrd")
    black = sitk.GetImageFromArray(np.zeros((8, 16, 16), np.float32))
    sitk.WriteImage(black, str(images / "bad_0001.nrrd"))
    for use_mask in (False, True):
        channels = tuple(replace(item, use_mask=use_mask) for item in CHANNELS)
        save_checkpoint(tmp_path / "m.pt", model(channels=channels))
        out = tmp_path / f"out{use_mask}"
        predict = ["predict", str(tmp_path / "m.pt"), "-i", str(images), "-o", str(out)]
        assert umbrella.main([*predict, "--device", "cpu"]) == 0
        assert "bad_0001.nrrd: all voxels: the same value" in capfd.readouterr().err
        assert len(list(out.iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (voxel(np.nan), "image: holds NaN"),
        (header(Origin=(4, 0, 0)), "image: the channels 0 and 1 differ: origin"),
        (header(Spacing=(1, 1, 3)), "channels 0 and 1 differ: spacing"),
        (shorter, "channels 0 and 1 differ: shape"),
    ],
)
def test_images_of_simpleitk_are_checked_like_files(change, message):
    predictor = Predictor([model(channels=CHANNELS)], Options(mirroring=False))
    first, second = (sitk.GetImageFromArray(noise(8, 16, 16)) for _ in range(2))
    with pytest.raises(ImageError, match=message):
        predictor.predict([first, change(second)])


def test_arrays_are_checked_like_files():
    predictor = Predictor([model()], Options(mirroring=False))
    image, geometry = noise(1, 8, 16, 16), make_geometry((8, 16, 16))
    with pytest.raises(ImageError, match=r"spacing \(1, 1, 0\) mm is not positive"):
        predictor.predict_array(image, replace(geometry, spacing_mm=(0.0, 1.0, 1.0)))
    with pytest.raises(ImageError, match=r"shape \(8, 16, 16\), its geometry has \(9, 16, 16\)"):
        predictor.predict_array(image, make_geometry((9, 16, 16)))
    image[0, 0, 0, 0] = np.nan
    with pytest.raises(ImageError, match="holds NaN or infinity in 1 voxels"):
        predictor.predict_array(image, geometry)


def test_a_file_in_metres_is_said_before_it_is_predicted(tmp_path, capfd):
    images = write_cases(tmp_path / "Dataset001_Two", ".mha")
    for channel in range(2):
        path = str(images / f"bad_{channel:04d}.mha")
        sitk.WriteImage(header(Spacing=(0.001,) * 3)(sitk.ReadImage(path)), path)
    seen = ((1.0, 1.0),) * 3
    made = model(channels=CHANNELS, spacing_mm=(0.01,) * 3, seen_spacing_mm=seen)
    save_checkpoint(tmp_path / "m.pt", made)
    predict = ["predict", str(tmp_path / "m.pt"), "-i", str(images / "bad_0000.mha")]
    assert umbrella.main([*predict, "-o", str(tmp_path / "out"), "--device", "cpu"]) == 0
    error = capfd.readouterr().err
    assert "bad_0000.mha: its spacing is 0.001 mm along z (the training images have 1)" in error
    assert error.count("millimetres") == 1
