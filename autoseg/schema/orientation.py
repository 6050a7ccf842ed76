"""In which directions the axes of an image grow: three letters for x, y and z, as nibabel has them.

L and R are left and right, P and A posterior and anterior, S and I superior and inferior of the
patient: "LPS" is the identity of ITK. There are 48, and each is another order of the same voxels.
"""

from __future__ import annotations

from typing import Literal, get_args

from autoseg.schema.triple import triple

Orientation = Literal[
    "LPS", "LPI", "LAS", "LAI", "RPS", "RPI", "RAS", "RAI",
    "LSP", "LSA", "LIP", "LIA", "RSP", "RSA", "RIP", "RIA",
    "PLS", "PLI", "PRS", "PRI", "ALS", "ALI", "ARS", "ARI",
    "PSL", "PSR", "PIL", "PIR", "ASL", "ASR", "AIL", "AIR",
    "SLP", "SLA", "SRP", "SRA", "ILP", "ILA", "IRP", "IRA",
    "SPL", "SPR", "SAL", "SAR", "IPL", "IPR", "IAL", "IAR",
]  # fmt: skip
ORIENTATIONS: tuple[Orientation, ...] = get_args(Orientation)
PAIRS = ("LR", "PA", "SI")
"""Letters of the world's axes, those of ITK's identity first."""
Turn = tuple[tuple[int, int, int], tuple[bool, bool, bool]]
"""(axes, flips): `array.transpose(axes)`, then each axis whose flip is true is reversed."""


def turn(have: Orientation, want: Orientation) -> Turn:
    """How arrays (z, y, x) of one orientation come into another."""
    given = {_world(letter): (2 - index, letter) for index, letter in enumerate(have)}
    found = [given[_world(letter)] for letter in reversed(want)]
    flips = (old != new for (_, old), new in zip(found, reversed(want), strict=True))
    return triple(axis for axis, _ in found), triple(flips)


def world_axes(orientation: Orientation) -> tuple[int, int, int]:
    """World axis of the array axes z, y, x: 0 left to right, 1 front to back, 2 up and down."""
    return triple(_world(letter) for letter in reversed(orientation))


def _world(letter: str) -> int:
    return next(axis for axis, pair in enumerate(PAIRS) if letter in pair)
