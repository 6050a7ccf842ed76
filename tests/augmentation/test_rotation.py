from __future__ import annotations

import math

import pytest

from autoseg.augmentation.rotation import angle_limit, is_flat


@pytest.mark.parametrize(
    ("patch", "degrees"),
    [
        ((128, 128, 128), 30),
        ((43, 128, 128), 30),
        ((42, 128, 128), 180),  # the longest axis exceeds the first more than threefold
        ((128, 128, 20), 30),  # another axis may be short
        ((96, 96), 180),
        ((64, 96), 180),
        ((63, 96), 15),  # more than one and a half times as long as wide
        ((96, 63), 15),
    ],
)
def test_patches_are_turned_as_far_as_by_nnunet(patch, degrees):
    assert math.degrees(angle_limit(patch)) == pytest.approx(degrees)
    assert is_flat(patch) == (len(patch) == 3 and degrees == 180)
