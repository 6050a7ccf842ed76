from __future__ import annotations

import numpy as np
import pytest

from autoseg.schema.geometry import Geometry, geometry_differences

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def geometry(**changes) -> Geometry:
    values = {
        "shape": (4, 5, 6),
        "spacing_mm": (3.0, 1.0, 1.0),
        "origin_mm": (0.0, 0.0, 0.0),
        "direction": IDENTITY,
    }
    return Geometry(**{**values, **changes})


@pytest.mark.parametrize(
    ("direction", "code"),
    [
        (IDENTITY, "LPS"),
        ((-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0), "RAS"),
        ((0, 0, 1.0, 1.0, 0, 0, 0, 1.0, 0), "PSL"),
        ((0.9, -0.1, 0.4, 0.1, 0.99, 0.0, -0.4, 0.05, 0.9), "LPS"),
    ],
)
def test_orientation_has_the_letters_of_the_index_axes(direction, code):
    assert geometry(direction=direction).orientation() == code


def test_axes_and_flips_bring_an_image_to_lps():
    lps = np.arange(4 * 5 * 6).reshape(4, 5, 6)  # z, y, x
    # Index axes x, y, z of the file point to P, S and R.
    stored = np.flip(lps, axis=2).transpose(2, 0, 1)  # axes: z ← x (R), y ← z (S), x ← y (P)
    direction = (0, 0, -1.0, 1.0, 0, 0, 0, 1.0, 0)
    file = geometry(shape=stored.shape, direction=direction)
    assert file.orientation() == "PSR"
    axes, flips = file.turn_to("LPS")
    back = stored.transpose(axes)
    back = back[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    assert (back == lps).all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shape": (4, 5, 7)}, "shape"),
        ({"spacing_mm": (3.0, 1.0, 1.01)}, "spacing"),
        ({"origin_mm": (0.0, 2.0, 0.0)}, "origin"),
        ({"direction": (-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)}, "direction"),
    ],
)
def test_differences_are_named_with_both_values(change, word):
    differences = geometry_differences(geometry(), geometry(**change))
    assert len(differences) == 1
    assert differences[0].startswith(word)
    assert " and " in differences[0]


def test_rounding_of_headers_is_no_difference():
    other = geometry(spacing_mm=(3.0000002, 1.0, 1.0), origin_mm=(1e-4, 0.0, 0.0))
    assert geometry_differences(geometry(), other) == []
