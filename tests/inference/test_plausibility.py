from __future__ import annotations

import re
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


def said(configuration, spacing_mm, **changes) -> str:
    """What is said of an image's spacing (z, y, x)."""
    image = np.linspace(-1000, 1000, 4 * 5 * 6, dtype=np.float32).reshape(1, 4, 5, 6)
    geometry = replace(make_geometry((4, 5, 6)), spacing_mm=spacing_mm, **changes)
    texts = implausible(image, geometry, configuration)
    return "".join(text for text in texts if "millimetres" in text)


@pytest.mark.parametrize(
    ("spacing_mm", "axes"),
    [
        ((2.0, 1.0, 1.0), ""),
        ((7.0, 0.2, 3.9), ""),
        ((21.0, 1.0, 1.0), "z"),
        ((2.0, 0.1, 1.0), "y"),
        ((0.002, 0.001, 0.001), "zyx"),  # metres
        ((0.2, 0.1, 0.1), "zyx"),  # centimetres
        ((40.0, 40.0, 40.0), "zyx"),
    ],
)
def test_spacings_far_outside_those_of_the_training_images_are_said(ct, spacing_mm, axes):
    seen = replace(ct, seen_spacing_mm=((1.0, 5.0), (0.5, 1.0), (0.5, 1.0)))
    text = said(seen, spacing_mm)
    assert "".join(re.findall(r"mm along ([xyz]) \(the training images have", text)) == axes


def test_spacings_are_those_of_the_axes_as_the_network_sees_them(ct):
    # Slices of 5 mm are the first axis of the transposed image, y of the turned one.
    seen = replace(
        ct,
        orientation="LPS",
        transpose=(1, 0, 2),
        seen_spacing_mm=((5.0, 5.0), (0.5, 0.5), (0.5, 0.5)),
    )
    assert said(seen, (0.5, 5.0, 0.5)) == ""
    assert said(seen, (5.0, 0.5, 0.5)).count("mm along") == 2
    # x of this image points backwards, so that it is y of a turned one.
    direction = (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert said(seen, (0.5, 0.5, 5.0), direction=direction) == ""


def test_slices_that_are_not_resampled_may_have_any_distance(ct):
    flat = replace(ct, spacing_mm=(None, 1.0, 1.0), seen_spacing_mm=((1.0, 1.0),) * 3)
    assert said(flat, (30.0, 1.0, 1.0)) == ""
    assert said(flat, (0.03, 0.001, 0.001)).count("mm along") == 2


@pytest.mark.parametrize(
    ("spacing_mm", "number"), [((0.7, 0.4, 0.4), 0), ((0.002, 0.001, 0.001), 3), ((100.0,) * 3, 3)]
)
def test_without_the_training_images_the_target_tells_units_apart(ct, spacing_mm, number):
    coarse = replace(ct, spacing_mm=(6.0, 6.0, 6.0))
    assert said(coarse, spacing_mm).count("(the model works at 6)") == number


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
