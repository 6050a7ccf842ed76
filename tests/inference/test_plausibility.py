from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autoseg.inference.plausibility import implausible
from autoseg.schema.plan import ChannelPlan, IntensityStatistics
from tests.conftest import make_geometry

STATISTICS = IntensityStatistics(
    mean=50,
    median=50,
    std=40,
    minimum=-200,
    maximum=400,
    percentile_00_5=-100,
    percentile_99_5=300,
)


@pytest.fixture
def ct(configuration):
    channel = ChannelPlan(name="CT", normalisation="ct", use_mask=False, statistics=STATISTICS)
    return replace(configuration, channels=(channel,), spacing_mm=(2.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("spacing_mm", "is_odd"),
    [
        ((2.0, 1.0, 1.0), False),
        ((7.0, 0.5, 0.5), False),
        ((0.002, 0.001, 0.001), True),  # metres
        ((40.0, 40.0, 40.0), True),
    ],
)
def test_spacings_that_are_hardly_millimetres_are_said(ct, spacing_mm, is_odd):
    image = np.linspace(-1000, 1000, 4 * 5 * 6, dtype=np.float32).reshape(1, 4, 5, 6)
    geometry = replace(make_geometry((4, 5, 6)), spacing_mm=spacing_mm)
    assert any("millimetres" in text for text in implausible(image, geometry, ct)) == is_odd


@pytest.mark.parametrize(
    ("low", "high", "is_odd"),
    [(-1000, 1500, False), (0, 1, True), (400, 3000, True), (-1024, -900, True)],
)
def test_intensities_of_another_unit_are_said(ct, low, high, is_odd):
    image = np.linspace(low, high, 4 * 5 * 6, dtype=np.float32).reshape(1, 4, 5, 6)
    found = implausible(image, replace(make_geometry((4, 5, 6)), spacing_mm=(2.0, 1.0, 1.0)), ct)
    assert any("same unit" in text for text in found) == is_odd


def test_intensities_that_are_relative_to_the_image_are_never_odd(configuration):
    image = np.zeros((1, 4, 5, 6), dtype=np.float32)
    geometry = replace(make_geometry((4, 5, 6)), spacing_mm=(1.0, 1.0, 1.0))
    assert not [text for text in implausible(image, geometry, configuration) if "unit" in text]
