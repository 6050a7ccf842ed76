from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoseg.inference.streaming.mirroring import mirrored
from autoseg.inference.streaming.tiles import axis_starts, gaussian_weights, tile_starts
from tests.tools.streamed import sliding_window


@given(st.integers(1, 60), st.integers(0, 200), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_tiles_cover_every_voxel_and_stay_inside(tile, more, step):
    size = tile + more
    starts = axis_starts(size, tile, step)
    assert starts[0] == 0
    assert starts[-1] == size - tile
    assert starts == sorted(starts)
    for before, after in zip(starts, starts[1:], strict=False):
        assert after - before <= max(1, round(tile * step + 0.5))


def test_positions_are_nnunets():
    # 100 voxels, tile 64, step 0.5: ceil(36 / 32) + 1 = 3 positions, 18 apart.
    assert axis_starts(100, 64, 0.5) == [0, 18, 36]
    assert len(tile_starts((100, 64), (64, 64), 0.5)) == 3


def test_weights_peak_at_the_centre_and_are_nowhere_zero():
    weights = gaussian_weights((16, 24))
    assert float(weights[8, 12]) == float(weights.max()) == 10
    assert float(weights.min()) > 0
    assert float(weights[8 + 2, 12]) == pytest.approx(10 * 2.718281828 ** (-0.5), abs=5e-3)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(1, 20)] * 3), st.sampled_from([(8, 8, 8), (4, 12, 8), (8, 8)]))
def test_a_pointwise_network_gives_what_it_gives_on_the_whole_image(shape, tile):
    image = torch.randn(2, *shape)
    found = sliding_window(lambda x: 3 * x + 1, image, tile, 2, step=0.5)
    assert found.shape == image.shape
    assert torch.allclose(found, 3 * image + 1, atol=1e-4)


def test_padding_is_zero_and_centred():
    seen = []

    def network(tiles):
        seen.append(tiles.clone())
        return tiles

    found = sliding_window(network, torch.ones(1, 3, 5, 2), (6, 4, 2), 1, step=0.5)
    assert torch.allclose(found, torch.ones(1, 3, 5, 2))
    assert seen[0].shape[2:] == (6, 4, 2)
    assert seen[0][0, 0, :, 0, 0].tolist() == [0, 1, 1, 1, 0, 0]


def test_mirroring_averages_all_combinations():
    seen = []

    def network(tiles):
        seen.append(tiles.clone())
        return tiles * torch.arange(1.0, 5.0)  # depends on the position

    image = torch.randn(1, 1, 3, 4)
    found = mirrored(network, (0, 1))(image)
    assert len(seen) == 4
    ramp = torch.arange(1.0, 5.0)
    assert torch.allclose(found, image * (ramp + ramp.flip(0)) / 2, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("num_slices", [1, 3, 5])
def test_slices_of_every_plane_are_predicted_with_their_neighbours(axis, num_slices):
    torch.manual_seed(0)
    image = torch.randn(2, 6, 7, 8)
    tile = [size for other, size in enumerate(image.shape[1:]) if other != axis]

    def network(tiles):
        # The middle slice of each channel, plus the mean of all slices.
        stacks = tiles.unflatten(1, (2, num_slices))
        return stacks[:, :, num_slices // 2] + stacks.mean(2)

    found = sliding_window(
        network, image, tile, 2, step=0.5, num_slices=num_slices, slice_axis=axis
    )
    half = num_slices // 2
    count = image.shape[1 + axis]
    for position in range(count):
        near = [min(max(position + shift, 0), count - 1) for shift in range(-half, half + 1)]
        mean = image.index_select(1 + axis, torch.tensor(near)).mean(1 + axis)
        expected = image.select(1 + axis, position) + mean
        assert torch.allclose(found.select(1 + axis, position), expected, atol=1e-5)
