"""Streaming with everything put together, for tests that compare whole arrays."""

from __future__ import annotations

import numpy as np
import torch

from autoseg.inference.streaming import decisions, grid_planes
from autoseg.inference.streaming.label_map import (
    Part,
    assemble_labels,
    assemble_probabilities,
    find_windows,
)
from autoseg.inference.streaming.tile_stream import NetworkInput, Schedule, TileStream, Tiling
from autoseg.preprocessing.case import to_grid, to_image
from tests.tools.array_source import ArraySource


def sliding_window(network, image, tile, outputs, *, step, num_slices=1, slice_axis=0):
    """Logits [outputs, z, y, x]."""
    source = NetworkInput(image=image)
    tiling = Tiling(tile=tuple(tile), step=step, num_slices=num_slices, slice_axis=slice_axis)
    window = grid_planes.whole(source.shape)
    schedule = Schedule(source.shape, tiling, axis=0, reverse=False, window=window)
    planes = list(TileStream(network, source, tiling, outputs, schedule))
    return torch.stack(planes).permute(3, 0, 1, 2)


def restore_prediction(logits, trace, scheme):
    """Label map on the image's grid."""
    part = Part(source=ArraySource(logits), restoration=to_image(trace))
    table = decisions.label_values(scheme)
    return assemble_labels(part, scheme, table, find_windows([part], scheme))


def restore_probabilities(logits, trace, scheme):
    """Probabilities on the image's grid."""
    part = Part(source=ArraySource(logits), restoration=to_image(trace))
    found = np.zeros((scheme.num_outputs, *trace.geometry.shape), dtype=np.float32)
    table = decisions.label_values(scheme)
    assemble_probabilities([part], scheme, table, find_windows([part], scheme), found)
    return found


def transfer(channels, source, target):
    """Channels on another configuration's grid."""
    part = Part(source=ArraySource(channels), restoration=to_grid(source, target))
    windows = find_windows([part], None)
    found = np.zeros((len(channels), *target.shape), dtype=np.float32)
    from autoseg.inference.streaming.label_map import _planes

    for position, parts in _planes(part, None, windows.axis, windows.boxes[0]).logits():
        plane = torch.cat([item for _, item in parts]).T.numpy()
        own = part.restoration.axes.index(windows.axis)
        view = part.restoration.view(found)
        chosen = [slice(None)] * 4
        chosen[1 + own] = position
        view[tuple(chosen)] = plane.reshape(view[tuple(chosen)].shape)
    return found
