from __future__ import annotations

import numpy as np

from autoseg.augmentation.transforms import FoldSlices, MaskOutside, UnfoldSlices, outside_mask


def test_folded_slices_come_back():
    data = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    folded = FoldSlices(keys=("data",))(data=data, seg=0)
    assert folded["data"].shape == (2, 12, 5, 6)
    assert folded["seg"] == 0
    # The slices of a channel follow each other.
    assert (folded["data"][1, 4] == data[1, 1, 0]).all()
    assert (UnfoldSlices(keys=("data",), num_slices=4)(**folded)["data"] == data).all()


def test_a_voxel_is_outside_where_all_masked_channels_are_zero_and_nothing_is_labelled():
    image = np.array([[[0, 0, 0, 2.0]], [[0, 0, 1, 0]], [[5, 5, 5, 5]]], dtype=np.float32)
    labels = np.array([[[0, 0, 0, 0]], [[0, 1, 0, 0]]])  # of two raters
    assert outside_mask(image, labels, (0, 1)).tolist() == [[True, False, False, False]]
    assert outside_mask(image, labels, (0,)).tolist() == [[True, False, True, False]]


def test_only_masked_channels_become_zero_outside():
    data = np.ones((1, 2, 1, 3), dtype=np.float32)
    seg = np.array([[[[-1, 0, 1]]]])
    done = MaskOutside(channels=(1,))(data=data, seg=seg)
    assert done["data"].tolist() == [[[[1, 1, 1]], [[0, 1, 1]]]]
