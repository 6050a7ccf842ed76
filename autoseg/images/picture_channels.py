"""Which channels of a picture count: alpha, and colours that are all the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


def fit_channels(array: Array, num_channels: int) -> Array:
    """Leaves out channels that tell nothing, where that gives the wanted number.

    A constant last channel of two or four is an alpha channel that hides nothing; three equal
    channels are one grey channel.

    Args:
        array: [c, …].
        num_channels: Wanted.

    Returns:
        [num_channels, …], or the array as it is where it does not fit.
    """
    rest = array
    if len(rest) in (2, 4) and len(rest) > num_channels and is_constant(rest[-1]):
        rest = rest[:-1]
    if len(rest) == 3 and num_channels == 1 and _are_equal(rest):
        rest = rest[:1]
    return rest if len(rest) == num_channels else array


def without_constant_alpha(array: Array) -> Array:
    """Grey alone of grey and alpha [2, …], where alpha is the same everywhere."""
    return array[:1] if len(array) == 2 and is_constant(array[1]) else array


def is_constant(channel: Array) -> bool:
    """Whether all values are the same."""
    return bool((channel == channel.flat[0]).all()) if channel.size else True


def _are_equal(channels: Array) -> bool:
    return all(np.array_equal(channels[0], channel) for channel in channels[1:])
