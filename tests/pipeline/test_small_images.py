"""Images of a few voxels are planned, trained and predicted like others."""

from __future__ import annotations

import numpy as np
import pytest

from autoseg import pipeline
from autoseg.images.files import read_image
from dataset_conversion import DatasetWriter


@pytest.mark.parametrize(("shape", "ending"), [((7, 7), ".png"), ((3, 5, 6), ".nii.gz")])
def test_images_under_eight_voxels_are_trained_on_with_a_black_one_among_them(
    tmp_path, shape, ending
):
    writer = DatasetWriter(
        tmp_path / "Dataset001_Small",
        channel_names=["MRI"],
        labels={"background": 0, "a": 1},
        file_ending=ending,
    )
    rng = np.random.default_rng(0)
    for index in range(4):
        labels = np.zeros(shape, np.uint8)
        labels[..., 1:4, 2:5] = index > 0
        image = (rng.uniform(50, 60, shape) + 40 * labels) * (index > 0)
        writer.add(f"c{index}", [image.astype(np.uint8)], labels)
    writer.finish()
    workspace = tmp_path / "ws"
    name = "2d" if len(shape) == 2 else "3d_fullres"
    pipeline.plan(
        tmp_path / "Dataset001_Small",
        workspace,
        configurations=(name,),
        time_budget="2s",
        device="cpu",
        num_folds=2,
        workers=1,
    )
    pipeline.train(workspace, name, 0, epochs=1, device="cpu")
    images = tmp_path / "Dataset001_Small/imagesTr"
    report = pipeline.predict([workspace], images, tmp_path / "out", device="cpu")
    assert report.failed == {}
    assert read_image(tmp_path / f"out/c0{ending}")[0].shape[-len(shape) :] == shape
