"""What the user asks a planner for: names of configurations and networks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from autoseg.errors import UnknownNameError
from autoseg.schema.recipe import Recipe

BASES = ("2d", "2.5d", "3d_fullres", "3d_lowres", "3d_cascade_fullres", "multipath_2.5d")
PLANES = {"axial": "S", "coronal": "P", "sagittal": "L"}
"""Plane → world axis that it cuts."""
ALL = "all"
_NAME = re.compile(rf"({'|'.join(map(re.escape, BASES))})(?:_({'|'.join(PLANES)}))?(?:_(\w+))?")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for.

    Attributes:
        configurations: Names, "all", or empty for the usual ones.
        network: plain, M, L or XL, or None for the planner's choice.
        memory: Whether the budget's memory was named by the user, and not only found.
        seed: Seed of folds, weights and patches.
        recipe: What is known about the data set, or None.
    """

    configurations: tuple[str, ...] = ()
    network: str | None = None
    memory: bool = False
    seed: int = 0
    recipe: Recipe | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A configuration by the parts of its name.

    Attributes:
        name: Such as 2.5d_coronal or 3d_fullres_primus.
        base: One of `BASES`.
        plane: Plane of a two-dimensional network's slices, or None for the finest.
        architecture: Architecture, or None for the preset's.
    """

    name: str
    base: str
    plane: str | None = None
    architecture: str | None = None

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return 2 if self.base in ("2d", "2.5d") else 3


def parse_configuration(name: str) -> Wanted:
    """Takes the name of a configuration apart.

    Raises:
        UnknownNameError: There is no such configuration.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise UnknownNameError("configuration", name, (*BASES, "3d_fullres_ARCHITECTURE", ALL))
    base, plane, architecture = match.groups()
    composed = base in ("3d_cascade_fullres", "multipath_2.5d")
    if (plane and base not in ("2d", "2.5d")) or (composed and architecture):
        raise UnknownNameError("configuration", name, (*BASES, "3d_fullres_ARCHITECTURE", ALL))
    return Wanted(name=name, base=base, plane=plane, architecture=architecture)
