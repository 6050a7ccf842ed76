"""Streaming equals the plain way, whatever the memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from autoseg.errors import UsageError
from autoseg.inference.streaming import decisions, grid_planes, tile_stream
from autoseg.inference.streaming.grid_planes import Head
from autoseg.inference.streaming.label_map import (
    Part,
    assemble_labels,
    assemble_probabilities,
    find_windows,
)
from autoseg.inference.streaming.mirroring import mirrored
from autoseg.inference.streaming.tile_stream import NetworkInput, Schedule, TileStream, Tiling
from autoseg.preprocessing.case import preprocess_array, to_grid, to_image
from autoseg.schema.geometry import Geometry
from tests.conftest import REGIONS, SCHEME, make_configuration
from tests.tools import plain
from tests.tools.array_source import ArraySource

WHOLE = grid_planes.whole
SHAPE = (23, 30, 26)


@pytest.fixture(autouse=True)
def _few_tiles_at_a_time(monkeypatch):
    monkeypatch.setattr(tile_stream, "VOXELS_AT_A_TIME", 4000)
    monkeypatch.setitem(grid_planes.VOXELS_AT_A_TIME, "cpu", 300)


def network(seed: int = 0, channels: int = 2, outputs: int = 3, dims: int = 3):
    """Something that a place in a tile and its neighbours change."""
    torch.manual_seed(seed)
    convolution = torch.nn.Conv3d if dims == 3 else torch.nn.Conv2d
    module = convolution(channels, outputs, 5, padding=2).eval()
    return torch.inference_mode()(module)


def image(shape=SHAPE, channels: int = 2) -> torch.Tensor:
    return torch.randn(channels, *shape, generator=torch.Generator().manual_seed(1))


def streamed(run, source, tiling, outputs, *, axis=0, reverse=False, window=None):
    """Planes of a stream, put back as [outputs, z, y, x] of the window."""
    window = window or WHOLE(source.shape)
    schedule = Schedule(source.shape, tiling, axis=axis, reverse=reverse, window=window)
    planes = list(TileStream(run, source, tiling, outputs, schedule))
    found = torch.stack(planes[::-1] if reverse else planes)
    return found.permute(3, 0, 1, 2).movedim(1, 1 + axis), schedule


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("tile", [(8, 10, 12), (30, 12, 8), (40, 40, 40)])
def test_planes_are_those_of_the_plain_way(axis, reverse, tile):
    run, case = mirrored(network(), (0, 2)), image()
    expected = plain.sliding_window(run, case, tile, 3, step=0.5)
    tiling = Tiling(tile=tile, step=0.5)
    source = NetworkInput(image=case)
    found, schedule = streamed(run, source, tiling, 3, axis=axis, reverse=reverse)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)
    if tile[axis] < SHAPE[axis] - 8:
        assert schedule.depth < SHAPE[axis]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize("num_slices", [1, 3])
def test_slices_are_those_of_the_plain_way(axis, slice_axis, num_slices):
    run, case = network(channels=2 * num_slices, dims=2), image()
    expected = plain.sliding_window(
        run, case, (12, 14), 3, step=0.5, num_slices=num_slices, slice_axis=slice_axis
    )
    tiling = Tiling(tile=(12, 14), step=0.5, num_slices=num_slices, slice_axis=slice_axis)
    found, _ = streamed(run, NetworkInput(image=case), tiling, 3, axis=axis)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("tile", [(8, 10, 12), (40, 12, 8)])
def test_a_window_has_the_very_same_values(tile):
    run, source = network(), NetworkInput(image=image())
    tiling = Tiling(tile=tile, step=0.5)
    everything, _ = streamed(run, source, tiling, 3)
    window = (slice(0, 23), slice(7, 19), slice(3, 26))
    part, schedule = streamed(run, source, tiling, 3, window=window)
    assert torch.equal(part, everything[(slice(None), *window)])
    assert schedule.plane_shape == (12, 23)


def test_masks_of_an_earlier_stage_are_channels():
    labels = torch.randint(0, 3, SHAPE, generator=torch.Generator().manual_seed(2))
    case, run = image(), network(channels=4)
    masks = torch.stack([labels == 1, labels == 2]).float()
    expected = plain.sliding_window(run, torch.cat((case, masks)), (8, 10, 30), 3, step=0.5)
    source = NetworkInput(image=case, labels=labels.to(torch.int16), num_indices=3)
    found, _ = streamed(run, source, Tiling(tile=(8, 10, 30), step=0.5), 3)
    assert torch.allclose(found, expected, atol=1e-5)


def test_tiles_of_one_value_are_predicted_once_per_value():
    case = torch.zeros(1, 64, 16, 16)
    case[:, 40:] = 2
    case[:, 10, 3, 4] = 1
    calls = []
    inner = network(channels=1)

    def run(tiles):
        calls.append(len(tiles))
        return inner(tiles)

    tiling = Tiling(tile=(8, 16, 16), step=0.5)
    found, schedule = streamed(run, NetworkInput(image=case), tiling, 3)
    assert torch.allclose(
        found, plain.sliding_window(inner, case, (8, 16, 16), 3, step=0.5), atol=1e-6
    )
    tiles = sum(map(len, schedule.batches))
    # Two values, two tiles with the single voxel and those across the step.
    assert tiles == 15
    assert sum(calls) <= 6


def geometry(shape=SHAPE, spacing=(1.5, 1.0, 0.8), direction=None):
    return Geometry(
        shape=shape,
        spacing_mm=spacing,
        origin_mm=(0.0, 0.0, 0.0),
        direction=direction or (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0),
    )


FLIPPED = (-1.0, 0, 0, 0, 0, 1.0, 0, 1.0, 0)
CONFIGURATIONS = {
    "finer": {"spacing_mm": (0.9, 0.7, 0.6)},
    "coarser": {"spacing_mm": (3.0, 2.1, 1.9)},
    "same": {"spacing_mm": (1.5, 1.0, 0.8)},
    "one axis only": {"spacing_mm": (1.5, 2.0, None)},
    "separate": {"spacing_mm": (6.0, 1.0, 0.8)},
    "transposed": {"spacing_mm": (2.0, 1.7, 1.1), "transpose": (2, 0, 1)},
    "turned": {"spacing_mm": (2.0, 1.7, 1.1), "orientation": "RAS", "transpose": (1, 0, 2)},
}


def traced(changes, border=3):
    """The trace of a case with a border of zeros, and logits on its grid."""
    rng = np.random.default_rng(0)
    raw = rng.uniform(1, 2, (1, *SHAPE)).astype(np.float32)
    raw[:, :border], raw[:, :, -2:] = 0, 0
    case = preprocess_array(raw, geometry(direction=FLIPPED), make_configuration(**changes))
    return case.trace, rng


@pytest.mark.parametrize("changes", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
@pytest.mark.parametrize("scheme", [SCHEME, REGIONS], ids=["labels", "regions"])
def test_restored_labels_and_probabilities_are_those_of_the_plain_way(changes, scheme):
    trace, rng = traced(changes)
    logits = rng.normal(0, 3, (scheme.num_outputs, *trace.shape)).astype(np.float32)
    expected = plain.restore_prediction(logits, trace, scheme)
    table = decisions.label_values(scheme)
    part = Part(source=ArraySource(logits), restoration=to_image(trace))
    for axis in range(3):
        windows = replace(find_windows([part], scheme), axis=axis)
        labels = assemble_labels(part, scheme, table, windows)
        assert labels.dtype == expected.dtype
        assert (labels == expected).mean() > 0.9999
        values = np.zeros((scheme.num_outputs, *SHAPE), dtype=np.float32)
        again = assemble_probabilities([part], scheme, table, windows, values)
        assert (again == labels).all()
        assert np.allclose(values, plain.restore_probabilities(logits, trace, scheme), atol=1e-5)


@pytest.mark.parametrize("changes", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_another_configurations_grid_is_reached_as_the_plain_way_does(changes):
    trace, rng = traced(changes)
    target, _ = traced({"spacing_mm": (1.1, 1.6, 0.9), "transpose": (1, 2, 0)})
    logits = rng.normal(0, 3, (3, *trace.shape)).astype(np.float32)
    expected = plain.transfer(logits, trace, target).argmax(axis=0)
    part = Part(source=ArraySource(logits), restoration=to_grid(trace, target))
    windows = find_windows([part], SCHEME)
    found = assemble_labels(part, SCHEME, decisions.label_indices(SCHEME), windows)
    assert found.shape == target.shape
    assert (found == expected).mean() > 0.9999


def test_a_head_and_its_features_give_the_logits_labels():
    trace, rng = traced(CONFIGURATIONS["finer"])
    features = rng.normal(0, 1, (2, *trace.shape)).astype(np.float32)
    weight, bias = torch.randn(3, 2), torch.randn(3)
    logits = (
        np.einsum("of,fzyx->ozyx", weight.numpy(), features) + bias.numpy()[:, None, None, None]
    )
    source = ArraySource(features)
    source.head = Head(weight=weight, bias=bias)
    part = Part(source=source, restoration=to_image(trace))
    windows = find_windows([part], SCHEME)
    found = assemble_labels(part, SCHEME, decisions.label_values(SCHEME), windows)
    expected = plain.restore_prediction(logits.astype(np.float32), trace, SCHEME)
    assert (found == expected).mean() > 0.9999


def test_pieces_change_nothing_and_too_little_memory_is_refused():
    trace, rng = traced(CONFIGURATIONS["coarser"])
    logits = rng.normal(0, 3, (3, *trace.shape)).astype(np.float32)
    part = Part(source=ArraySource(logits), restoration=to_image(trace))
    table = decisions.label_values(SCHEME)
    whole = find_windows([part], SCHEME)
    assert len(whole.boxes) == 1
    few = find_windows([part], SCHEME, memory_bytes=3 * 4 * 40)
    assert len(few.boxes) > 2
    assert (
        assemble_labels(part, SCHEME, table, whole) == assemble_labels(part, SCHEME, table, few)
    ).all()
    with pytest.raises(UsageError, match="Give more --memory"):
        find_windows([part], SCHEME, memory_bytes=10)
