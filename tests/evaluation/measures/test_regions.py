"""Regions that calibration is counted in."""

from __future__ import annotations

import numpy as np

import evaluation
from evaluation.measures.regions import region_masks


def test_regions_are_a_box_and_a_band():
    labels = np.zeros((1, 20, 30), dtype=np.uint8)
    labels[0, 8:12, 10:20] = 1
    found = region_masks(labels, ("image", "box", "band"), 2)
    assert found["image"] is None
    assert found["box"].sum() == 8 * 14
    assert found["band"][0, 8, 12]
    assert not found["band"][0, 0, 0]
    assert evaluation.ece(labels, np.stack((1 - labels, labels)).astype(float), region="band") == 0
