"""Neighbouring slices of a volume, which 2.5-dimensional networks see as channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def slice_step(spacing_mm: float, distance_mm: float | None) -> int:
    """How many slices of a case lie from one neighbour that a network sees to the next.

    Slices are not resampled among each other, so that a case with thinner ones than the network
    learnt from has more of them within the same distance. Of thicker ones it sees the next.

    Args:
        spacing_mm: Distance of the case's slices.
        distance_mm: Distance of the slices that the network was planned for, or None.
    """
    return 1 if distance_mm is None else max(1, round(distance_mm / spacing_mm))


def neighbours(position: int, count: int, size: int, step: int = 1) -> npt.NDArray[np.intp]:
    """Indices of `count` slices around a position; beyond the ends the last slice is repeated.

    Args:
        position: Middle slice.
        count: How many, odd.
        size: Slices of the volume.
        step: Slices from one to the next, see `slice_step`.
    """
    half = count // 2
    return np.clip(position + step * np.arange(-half, half + 1), 0, size - 1)
