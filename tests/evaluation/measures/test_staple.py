"""STAPLE, against SimpleITK's."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from evaluation.measures.staple import staple


def test_staple_is_that_of_simpleitk(raters):
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in raters]
    expected = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0))
    np.testing.assert_allclose(staple(np.stack(raters)), expected, atol=1e-4)


def test_staple_of_nothing_is_nothing():
    assert not staple(np.zeros((3, 4, 4), dtype=bool)).any()
    assert staple(np.ones((3, 4, 4), dtype=bool)).all()


def test_a_smaller_box_has_the_same_staple(raters):
    box = (slice(None), slice(1, 5), slice(2, 18), slice(2, 18))
    whole = [mask & np.pad(np.ones((4, 16, 16), bool), ((1, 1), (2, 2), (2, 2))) for mask in raters]
    stacked = np.stack(whole)
    inside = staple(stacked[box], outside=stacked[0].size - stacked[box][0].size)
    np.testing.assert_allclose(inside, staple(stacked)[box[1:]])
