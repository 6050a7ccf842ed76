from __future__ import annotations

import pytest

from autoseg.preprocessing.slices import neighbours, slice_step


@pytest.mark.parametrize(
    ("spacing_mm", "distance_mm", "step"),
    [(10.0, 10.0, 1), (3.3, 10.0, 3), (4.0, 10.0, 2), (20.0, 10.0, 1), (0.5, None, 1)],
)
def test_neighbours_lie_as_far_apart_as_planned_but_are_never_the_same_slice(
    spacing_mm, distance_mm, step
):
    assert slice_step(spacing_mm, distance_mm) == step


def test_slices_beyond_the_ends_are_the_last_ones():
    assert neighbours(1, 5, 10).tolist() == [0, 0, 1, 2, 3]
    assert neighbours(4, 5, 10, step=3).tolist() == [0, 1, 4, 7, 9]
