"""Distances between point sets, each way of finding them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from evaluation.measures import distances
from evaluation.measures.distances import nearest_distances, walking_margin

masks = npst.arrays(bool, (5, 6, 7))

spacings = st.tuples(*[st.sampled_from((0.5, 1.0, 1.7, 3.0))] * 3)

laws = settings(deadline=None, max_examples=25)


@laws
@given(masks, masks, spacings)
def test_walk_and_tree_find_what_a_distance_transform_finds(first, second, spacing):
    if not first.any() or not second.any():
        return

    def place(mask, margin):
        padded = np.pad(mask, [(0, extra) for extra in margin])
        return np.flatnonzero(padded), padded.shape

    (points, shape), (targets, _) = (place(mask, (0, 0, 0)) for mask in (first, second))
    transformed = nearest_distances(points, targets, shape, spacing, (0, 0, 0))
    small, cost = distances.SMALL_GRID, distances.TREE_COST
    try:
        distances.SMALL_GRID = 0
        margin = walking_margin(first.shape, spacing)
        (points, shape), (targets, _) = (place(mask, margin) for mask in (first, second))
        for distances.TREE_COST in (0, 10**9):
            found = nearest_distances(points, targets, shape, spacing, margin)
            np.testing.assert_allclose(found, transformed, rtol=1e-12)
    finally:
        distances.SMALL_GRID, distances.TREE_COST = small, cost
