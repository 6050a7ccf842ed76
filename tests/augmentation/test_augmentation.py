from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoseg.augmentation.intensity import (
    brightness,
    contrast,
    draw_intensity,
    gamma,
    gaussian_blur,
    gaussian_noise,
    low_resolution,
)
from autoseg.augmentation.spatial import draw_matrix, resample, source_size


@pytest.fixture
def channel() -> torch.Tensor:
    return torch.randn(6, 9, 7, generator=torch.Generator().manual_seed(0))


def test_neutral_parameters_are_the_identity(channel):
    assert torch.equal(brightness(1.0)(channel), channel)
    assert torch.allclose(contrast(1.0)(channel), channel, atol=1e-6)
    assert torch.allclose(gamma(1.0, inverted=False)(channel), channel, atol=1e-4)
    assert torch.allclose(gamma(1.0, inverted=True)(channel), channel, atol=1e-4)
    assert torch.equal(low_resolution(1.0, channel.ndim)(channel), channel)
    assert torch.equal(gaussian_noise(0.0, 1)(channel), channel)


def test_gamma_keeps_mean_and_deviation(channel):
    curved = gamma(1.4, inverted=False)(channel)
    assert float(curved.mean()) == pytest.approx(float(channel.mean()), abs=1e-4)
    assert float(curved.std()) == pytest.approx(float(channel.std()), abs=1e-4)
    assert not torch.allclose(curved, channel, atol=1e-2)


def test_contrast_keeps_the_range(channel):
    stretched = contrast(1.25)(channel)
    assert stretched.min() >= channel.min()
    assert stretched.max() <= channel.max()


def test_blur_agrees_with_scipy(channel):
    from scipy.ndimage import gaussian_filter

    expected = gaussian_filter(channel.numpy().astype(float), 0.8, mode="nearest", radius=2)
    assert np.abs(gaussian_blur(0.8, channel.ndim)(channel).numpy() - expected).max() < 1e-5


def test_the_same_seed_draws_the_same(channel):
    for seed in range(30):
        first, second = (draw_intensity(np.random.default_rng(seed), 2, 3) for _ in range(2))
        assert [item for item, _ in first] == [item for item, _ in second]
        for (_, one), (_, two) in zip(first, second, strict=True):
            assert torch.equal(one(channel), two(channel))


def test_constant_channels_stay_finite():
    flat = torch.zeros(4, 4, 4)
    for seed in range(60):
        for _, operation in draw_intensity(np.random.default_rng(seed), 1, 3):
            assert torch.isfinite(operation(flat)).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5000), st.sampled_from([(16, 20), (12, 16, 10), (4, 20, 20)]))
def test_the_source_covers_the_transformed_patch(seed, patch):
    matrix = draw_matrix(np.random.default_rng(seed), patch)
    size = source_size(matrix, patch)
    assert all((have - want) % 2 == 0 for have, want in zip(size, patch, strict=True))
    if matrix is None:
        assert size == patch
        return
    inside = torch.ones(1, *size)
    # Where any voxel came from outside of what was read, padding would show as less than one.
    assert float(resample(inside, matrix, patch, labels=False).min()) > 0.999


def test_the_first_axis_of_an_anisotropic_patch_stays():
    for seed in range(200):
        matrix = draw_matrix(np.random.default_rng(seed), (5, 30, 30))
        if matrix is not None:
            assert matrix[0].tolist() == [1, 0, 0]
            assert matrix[:, 0].tolist() == [1, 0, 0]


def test_about_a_third_of_the_patches_are_transformed():
    drawn = [
        draw_matrix(np.random.default_rng(seed), (8, 8, 8)) is not None for seed in range(2000)
    ]
    assert 0.32 < np.mean(drawn) < 0.40


def test_a_quarter_turn_moves_voxels_as_it_should():
    source = torch.arange(16.0).view(1, 4, 4)
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    found = resample(source, turn, (4, 4), labels=True)
    # Output offset (0, 1) reads source offset (-1, 0).
    assert torch.equal(found[0], torch.rot90(source[0], -1))
