"""Values per axis (z, y, x), as a tuple whose length the type checker knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def triple(values: Iterable[T]) -> tuple[T, T, T]:
    """The three values as a tuple.

    Raises:
        ValueError: There are more or fewer than three.
    """
    first, second, third = values
    return first, second, third
