"""Neighbouring slices of a volume, which 2.5-dimensional networks see as channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def neighbours(position: int, count: int, size: int) -> npt.NDArray[np.intp]:
    """Indices of `count` slices around a position; beyond the ends the last slice is repeated.

    Args:
        position: Middle slice.
        count: How many, odd.
        size: Slices of the volume.
    """
    half = count // 2
    return np.clip(np.arange(position - half, position + half + 1), 0, size - 1)
