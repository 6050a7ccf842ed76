"""Label maps and probabilities of a whole case, from planes that come one after the other."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from autoseg.errors import UsageError
from autoseg.inference.streaming import decisions, grid_planes
from autoseg.inference.streaming.grid_planes import GridPlanes, PlaneSource
from autoseg.inference.streaming.tile_stream import Box
from autoseg.preprocessing.case import Restoration
from autoseg.schema.labels import LabelScheme
from autoseg.schema.triple import triple


@dataclass(frozen=True, kw_only=True)
class Part:
    """The models of one grid.

    Attributes:
        source: Their mean features there.
        restoration: How that grid lies on the one that is wanted.
        weight: How many models they are.
    """

    source: PlaneSource
    restoration: Restoration
    weight: int = 1


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How a case is taken to pieces that fit into memory.

    Attributes:
        axis: Axis of the wanted grid along which planes follow each other.
        boxes: Windows of what is predicted, along the wanted grid's axes.
    """

    axis: int
    boxes: tuple[Box, ...]


def find_windows(
    parts: Sequence[Part], scheme: LabelScheme, memory_bytes: int | None = None
) -> Windows:
    """The axis that needs the least memory, and as many pieces as the memory asks for.

    Sums that are rounded depend on the order of the tiles, which goes along one axis then.

    Pieces only save memory: tiles where they meet are predicted again, with the same result. They
    lie along the axis along which that are the fewest.

    Raises:
        UsageError: The memory is too little for any piece.
    """
    shape = parts[0].restoration.other_shape
    axes = range(3)
    everything = grid_planes.whole(shape)
    own = parts[0].source.axis
    if len(parts) == 1 and own is not None:
        axis = parts[0].restoration.axes[own]
    else:
        axis = min(axes, key=lambda axis: _ring_bytes(parts, scheme, axis, everything))
    whole = Windows(axis=axis, boxes=(everything,))
    needed = _ring_bytes(parts, scheme, axis, everything)
    if memory_bytes is None or needed <= memory_bytes:
        return whole
    pieces = [
        boxes
        for across in axes
        if across != axis and (boxes := _fewest_pieces(parts, scheme, axis, across, memory_bytes))
    ]
    if not pieces:
        least = min(
            max(_ring_bytes(parts, scheme, axis, box) for box in _split(shape, across, size))
            for across, size in enumerate(shape)
            if across != axis
        )
        short = (least - memory_bytes) / 2**20
        raise UsageError(f"The tiles of this model need {short:.0f} MB more. Give more --memory.")
    return Windows(
        axis=axis, boxes=min(pieces, key=lambda boxes: _num_tiles(parts, scheme, axis, boxes))
    )


def _fewest_pieces(
    parts: Sequence[Part], scheme: LabelScheme, axis: int, across: int, memory_bytes: int
) -> tuple[Box, ...] | None:
    """As few pieces along an axis as fit, or None where single planes do not.

    Thinner pieces need less: the number is doubled until they fit, then found by halving.
    """
    shape = parts[0].restoration.other_shape
    most = shape[across]

    def fits(count: int) -> bool:
        boxes = _split(shape, across, count)
        return all(_ring_bytes(parts, scheme, axis, box) <= memory_bytes for box in boxes)

    enough = 2
    while enough < most and not fits(enough):
        enough = min(2 * enough, most)
    if enough >= most and not fits(most):
        return None
    counts = range(enough // 2 + 1, enough)
    return _split(shape, across, counts.start + bisect_left(counts, True, key=fits))


@torch.inference_mode()
def assemble_labels(
    part: Part, scheme: LabelScheme, table: npt.NDArray[np.integer], windows: Windows
) -> npt.NDArray[np.integer]:
    """The label map of one grid's models.

    Args:
        part: The models.
        scheme: Their labels.
        table: Value of each winner (see `decisions.argmax`).
        windows: How to go through the case.

    Returns:
        [z, y, x] of the wanted grid, with the first value of the table where nothing is predicted.
    """
    restoration = part.restoration
    result = np.full(restoration.full_shape, table[0], dtype=table.dtype)
    view = restoration.view(result[None])[0]
    for box in windows.boxes:
        planes = _planes(part, scheme, windows.axis, box)
        target = view[restoration.turned(box)]
        own = restoration.axes.index(windows.axis)
        for position, plane in planes.labels():
            target[_across(own, position)] = table[plane]
    return result


@torch.inference_mode()
def assemble_probabilities(
    parts: Sequence[Part],
    scheme: LabelScheme,
    table: npt.NDArray[np.integer],
    windows: Windows,
    target: Any,
) -> npt.NDArray[np.integer]:
    """Mean probabilities of the models of all grids, and the label map of them.

    Args:
        parts: The models.
        scheme: Their labels.
        table: Value of each winner (see `decisions.argmax`).
        windows: How to go through the case.
        target: [outputs, z, y, x] zeros, in memory or on disk, that are filled; or None.

    Returns:
        [z, y, x] of the wanted grid.
    """
    first = parts[0].restoration
    result = np.full(first.full_shape, table[0], dtype=table.dtype)
    crop = _other_crop(first)
    inner = result[crop]
    if target is not None and not scheme.has_regions:
        target[0] = 1
    for box in windows.boxes:
        streams = [_ProbabilityPlanes(part, scheme, windows.axis, box) for part in parts]
        total = sum(part.weight for part in parts)
        labels = inner[box]
        places = range(labels.shape[windows.axis])
        for position, *found in zip(places, *streams, strict=True):
            mean, winner = found[0]
            if len(parts) > 1:
                mean = sum(
                    item * np.float32(part.weight / total)
                    for (item, _), part in zip(found, parts, strict=True)
                )
                flat = torch.from_numpy(np.ascontiguousarray(mean)).flatten(1).T
                decided = decisions.argmax(flat - 0.5 if scheme.has_regions else flat, scheme)
                winner = decided.view(mean.shape[1:]).numpy()
            chosen = _across(windows.axis, position)
            labels[chosen] = table[winner]
            if target is not None:
                place = [slice(part.start, part.stop) for part in crop]
                for axis, part in enumerate(box):
                    start = place[axis].start
                    place[axis] = slice(start + part.start, start + part.stop)
                start = place[windows.axis].start + position
                place[windows.axis] = slice(start, start + 1)
                target[(slice(None), *place)] = np.expand_dims(mean, 1 + windows.axis)
    return result


class _ProbabilityPlanes:
    """Probabilities of one grid's models, plane by plane in the order of the wanted grid."""

    def __init__(self, part: Part, scheme: LabelScheme, axis: int, box: Box) -> None:
        self._planes = _planes(part, scheme, axis, box)
        self._scheme = scheme
        restoration = part.restoration
        self._own = restoration.axes.index(axis)
        others = [item for item in range(3) if item != self._own]
        # A plane has the network's axes; it is transposed and turned to the wanted grid's.
        self._swap = restoration.axes[others[0]] > restoration.axes[others[1]]
        self._flips = [restoration.flips[item] for item in others]

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.integer]]]:
        """Yields probabilities [outputs, u, v] and winners [u, v]."""
        shape = self._planes.shape
        count = shape[0] * shape[1]
        for _, parts in self._planes.logits():
            values: npt.NDArray[np.float32] | None = None
            winner = np.zeros(count, dtype=np.int64)
            for place, logits in parts:
                if values is None:
                    values = np.empty((logits.shape[1], count), dtype=np.float32)
                winner[place] = decisions.argmax(logits, self._scheme).cpu().numpy()
                values[:, place] = decisions.probabilities(logits, self._scheme).T.cpu().numpy()
            assert values is not None
            yield self._turn(values.reshape(-1, *shape)), self._turn(winner.reshape(1, *shape))[0]

    def _turn(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        steps = [-1 if flip else 1 for flip in self._flips]
        turned = plane[:, :: steps[0], :: steps[1]]
        return turned.swapaxes(1, 2) if self._swap else turned


def _planes(part: Part, scheme: LabelScheme, axis: int, box: Box) -> GridPlanes:
    """Planes in the order of the wanted grid."""
    own = part.restoration.axes.index(axis)
    return GridPlanes(
        part.source,
        part.restoration,
        scheme,
        axis=own,
        reverse=part.restoration.flips[own],
        window=part.restoration.turned(box),
    )


def _ring_bytes(parts: Sequence[Part], scheme: LabelScheme, axis: int, box: Box) -> int:
    return sum(_planes(part, scheme, axis, box).ring_bytes for part in parts)


def _num_tiles(parts: Sequence[Part], scheme: LabelScheme, axis: int, boxes: Sequence[Box]) -> int:
    return sum(_planes(part, scheme, axis, box).num_tiles for part in parts for box in boxes)


def _split(shape: Sequence[int], axis: int, count: int) -> tuple[Box, ...]:
    edges = [round(index * shape[axis] / count) for index in range(count + 1)]
    boxes = []
    for low, high in pairwise(edges):
        box = list(grid_planes.whole(shape))
        box[axis] = slice(low, high)
        boxes.append(triple(box))
    return tuple(boxes)


def _across(axis: int, position: int) -> tuple[slice | int, ...]:
    chosen: list[slice | int] = [slice(None)] * 3
    chosen[axis] = position
    return tuple(chosen)


def _other_crop(restoration: Restoration) -> Box:
    """The crop, along the axes of the wanted grid."""
    result: list[slice] = [slice(0)] * 3
    for axis, flip, (start, stop) in zip(
        restoration.axes, restoration.flips, restoration.crop, strict=True
    ):
        size = restoration.full_shape[axis]
        result[axis] = slice(size - stop, size - start) if flip else slice(start, stop)
    return triple(result)
