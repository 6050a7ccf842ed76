from __future__ import annotations

import numpy as np
import pytest

from autoseg.datasets.folder import read_dataset
from dataset_conversion import DatasetWriter
from dataset_conversion.synthetic import write_synthetic


def test_what_is_written_is_read(tmp_path):
    write_synthetic(tmp_path / "d", num_cases=3)
    dataset, warnings = read_dataset(tmp_path / "d")
    assert warnings == []
    assert [case.identifier for case in dataset.cases] == ["case_000", "case_001", "case_002"]


def test_the_same_seed_makes_the_same_data(tmp_path):
    from dataset_conversion.synthetic import synthetic_case

    first, second = (synthetic_case(np.random.default_rng(3)) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert set(np.unique(first[1])) == {0, 1, 2}


def test_nothing_is_overwritten_and_cases_are_complete(tmp_path):
    writer = DatasetWriter(tmp_path, channel_names=["CT"], labels={"background": 0, "a": 1})
    image = np.ones((2, 3, 4), np.float32)
    writer.add("x", [image], image.astype(np.uint8))
    with pytest.raises(ValueError, match="'x' was added already"):
        writer.add("x", [image])
    with pytest.raises(ValueError, match="has 2 channels, expected 1"):
        writer.add("y", [image, image])
    writer.finish()
    with pytest.raises(FileExistsError, match="holds a data set already"):
        DatasetWriter(tmp_path, channel_names=["CT"], labels={"background": 0, "a": 1})
