from __future__ import annotations

from typing import get_args

import nibabel
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform

from autoseg.schema.orientation import ORIENTATIONS, Orientation, turn, world_axes


def applied(array, axes, flips):
    """What a turn means."""
    turned = array.transpose(axes)
    return turned[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def test_there_are_48_orientations_and_each_is_another_order_of_the_voxels():
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    turned = {applied(array, *turn("LPS", item)).tobytes() for item in ORIENTATIONS}
    assert len(ORIENTATIONS) == len(turned) == 48
    assert get_args(Orientation) == ORIENTATIONS


@pytest.mark.parametrize("have", ORIENTATIONS)
def test_turning_there_and_back_changes_nothing(have):
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    for want in ORIENTATIONS:
        there = applied(array, *turn(have, want))
        assert (applied(there, *turn(want, have)) == array).all()


def test_turns_are_nibabels():
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)  # z, y, x
    for have in ORIENTATIONS[::5]:
        for want in ORIENTATIONS[::7]:
            change = ornt_transform(axcodes2ornt(have), axcodes2ornt(want))
            expected = apply_orientation(array.T, change).T
            assert (applied(array, *turn(have, want)) == expected).all(), (have, want)
    assert nibabel.aff2axcodes(np.diag([-1, -1, 1, 1])) == ("L", "P", "S")


def test_world_axes_are_those_of_z_y_and_x():
    assert world_axes("LPS") == world_axes("RAI") == (2, 1, 0)
    assert world_axes("PIR") == (0, 2, 1)
