from __future__ import annotations

import numpy as np

from autoseg.datasets.folder import read_dataset
from autoseg.images.files import read_image
from autoseg.pipeline.validate import references
from autoseg.workspace import Workspace
from dataset_conversion import DatasetWriter


def test_what_all_raters_ignored_is_ignored_in_their_reference(tmp_path):
    writer = DatasetWriter(
        tmp_path / "Dataset001_Ignored",
        channel_names=["MRI"],
        labels={"background": 0, "organ": 1, "vessel": 5, "ignore": 9},
        raters=["a", "b", "c"],
    )
    rows = {"a": [9, 9, 5, 0, 9], "b": [9, 1, 5, 0, 0], "c": [9, 9, 1, 1, 1]}
    maps = {name: np.array([[row]], dtype=np.uint8) for name, row in rows.items()}
    writer.add("case", [np.ones((1, 1, 5), np.float32)], raters=maps)
    writer.finish()
    dataset = read_dataset(writer.root)[0]
    found = references(Workspace(tmp_path / "ws"), dataset, {"case": dataset.cases[0]})
    assert read_image(found["case"])[0].ravel().tolist() == [9, 1, 5, 0, 1]
