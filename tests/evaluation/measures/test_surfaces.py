"""Surface elements and border voxels."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.measures.surfaces import border_voxels, surface_elements


def test_elements_of_a_plane_have_its_area():
    mask = np.zeros((10, 10, 10), dtype=bool)
    mask[:, :, :5] = True
    surface = surface_elements(mask, (2.0, 3.0, 1.0))
    inner = surface.weights[np.isclose(surface.weights, 6)]
    assert len(inner) >= 2 * 9 * 9
    assert len(border_voxels(mask, (1, 1, 1)).points) == 500 - 8 * 8 * 3


def test_elements_need_two_or_three_dimensions():
    with pytest.raises(ValueError, match="2 or 3 dimensions"):
        surface_elements(np.ones(4, dtype=bool), (1.0,))
