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


def test_the_border_of_what_nobody_labelled_is_none():
    labels = np.zeros((1, 20, 30), dtype=np.uint8)
    labels[0, 8:12, 10:20] = 1
    labels[0, :, 15:] = 9
    found = region_masks(labels, ("box", "band"), 1, ignore=9)
    assert found["box"].sum() == (4 + 2) * (5 + 2)
    assert found["band"][0, 8, 12]
    assert not found["band"][0, 10, 14]
    assert not found["band"][0, 2].any()
