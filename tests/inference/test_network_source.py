"""Sums in half precision, which models of nnU-Net are predicted with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from autoseg.inference.models import Model
from autoseg.inference.network import LoadedNetwork, Options
from autoseg.inference.network_source import NetworkSource
from autoseg.inference.predictor import Predictor
from autoseg.inference.streaming import grid_planes
from autoseg.inference.streaming.tile_stream import NetworkInput
from autoseg.inference.streaming.tiles import gaussian_weights, tile_starts
from tests.conftest import make_geometry
from tests.inference.test_predictor import model, noise

OPTIONS = Options(mirroring=False)
SHAPE = (33, 40, 37)


def networks(count: int, tile_sums: str = "float16") -> list[LoadedNetwork]:
    found = [model(seed, tile_sums=tile_sums) for seed in range(count)]
    return [LoadedNetwork(Model(checkpoint=item), OPTIONS, {}) for item in found]


def image() -> torch.Tensor:
    return torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))


def logits(parts, **options) -> torch.Tensor:
    """[outputs, z, y, x] of our stream."""
    source = NetworkInput(image=image())
    mean = NetworkSource(((part, source) for part in parts), **options)
    planes = mean.planes(0, reverse=False, window=grid_planes.whole(SHAPE))
    return torch.stack([mean.head(plane.flatten(0, 1)) for plane in planes]).movedim(2, 0)


@torch.inference_mode()
def rounded_everywhere(parts) -> torch.Tensor:
    """All sums, quotients and means in arrays of half precision, one tile after the other."""
    tile = parts[0].tiling.tile
    weights = gaussian_weights(tile).half()
    mean = torch.zeros((3, *SHAPE), dtype=torch.half)
    for part in parts:
        total = torch.zeros((3, *SHAPE), dtype=torch.half)
        count = torch.zeros(SHAPE, dtype=torch.half)
        for start in tile_starts(SHAPE, tile, 0.5):
            box = tuple(slice(low, low + size) for low, size in zip(start, tile, strict=True))
            total[(slice(None), *box)] += part.logits(image()[None, :, *box])[0] * weights
            count[box] += weights
        mean += total / count
    return (mean / len(parts)).float().flatten(2)


@pytest.mark.parametrize("count", [1, 3])
def test_every_sum_is_rounded_as_in_half_precision_arrays(count):
    parts = networks(count)
    expected = rounded_everywhere(parts)
    # Kernels differ in the last bit with the number of tiles at a time.
    assert (logits(parts) == expected).float().mean() > 0.99
    exact = logits(parts, half_sums=False)
    assert (exact == expected).float().mean() < 0.5
    # At the edges only the smallest weights meet, which half precision hardly holds.
    inner = (slice(None), slice(4, -4), slice(4, -4), slice(4, -4))
    gap = (exact - expected).view(3, *SHAPE)[inner].abs()
    assert gap.max() < 0.02


def test_logits_too_large_for_half_precision_are_summed_in_float32():
    halves, floats = (model(0, tile_sums=kind) for kind in ("float16", "float32"))
    weights = {
        name: value * 1e5 if ".heads." in name or "head" in name else value
        for name, value in halves.weights.items()
    }
    case, geometry = noise(1, 16, 24, 20), make_geometry((16, 24, 20))
    found, expected = (
        Predictor([replace(item, weights=weights)], OPTIONS).predict_array(case, geometry)
        for item in (halves, floats)
    )
    assert len(np.unique(expected.labels)) > 1
    assert np.array_equal(found.labels, expected.labels)


def test_pieces_change_nothing(monkeypatch):
    case, geometry = noise(1, *SHAPE), make_geometry(SHAPE)
    predictor = Predictor([model(0, tile_sums="float16")], OPTIONS)
    whole = predictor.predict_array(case, geometry).labels
    monkeypatch.setattr("autoseg.costs.prediction_memory.left_for_sums", lambda *_: 200_000)
    assert np.array_equal(predictor.predict_array(case, geometry).labels, whole)
