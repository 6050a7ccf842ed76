"""What the user asks for: configurations by name, and which of them are planned."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoseg.errors import InputError, UnknownNameError
from autoseg.planning.families import find_family
from autoseg.planning.measures import Measures
from autoseg.schema.plan import Decision
from autoseg.schema.recipe import Recipe

BASES = ("2d", "2.5d", "3d_fullres", "3d_lowres", "3d_cascade_fullres", "multipath_2.5d")
PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}
"""Plane → world axis that it cuts, see `world_axes`."""
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
        groups: Case → patient, or None where the cases' names tell it.
    """

    configurations: tuple[str, ...] = ()
    network: str | None = None
    memory: bool = False
    seed: int = 0
    recipe: Recipe | None = None
    groups: Mapping[str, str] | None = None


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


def wanted_configurations(
    measures: Measures,
    request: Request,
    decisions: list[Decision],
    *,
    usual: Sequence[str],
    everything: Sequence[str],
) -> list[Wanted]:
    """Which configurations to plan; 3D is dropped, with its reason, for 2D images.

    Args:
        measures: From the fingerprint.
        request: Names, "all", or none for the usual ones.
        decisions: What is dropped is added here.
        usual: Names of the usual configurations.
        everything: Names that "all" stands for.

    Raises:
        InputError: A configuration that was asked for by name does not fit the data.
        UnknownNameError: A name is unknown.
    """
    named = [name for name in request.configurations if name != ALL]
    pool = everything if ALL in request.configurations else () if named else usual
    names = list(dict.fromkeys((*pool, *named)))
    wanted = sorted(map(parse_configuration, names), key=lambda item: BASES.index(item.base))
    for item in wanted:
        if item.architecture is not None:
            find_family(item.architecture)
    if not all(shape[0] == 1 for shape in measures.shapes):
        return wanted
    return _two_dimensional(wanted, named, decisions)


def _two_dimensional(
    wanted: Sequence[Wanted], named: Sequence[str], decisions: list[Decision]
) -> list[Wanted]:
    kept = []
    for item in wanted:
        if item.base == "2d" and item.plane is None:
            kept.append(item)
        elif item.name in named:
            raise InputError(
                f"The images are two-dimensional: --configurations {item.name} does not fit "
                "them, only 2d does."
            )
        else:
            decisions.append(dropped(item.name, "the images are two-dimensional"))
    return kept


def dropped(configuration: str, reason: str) -> Decision:
    """The decision that a configuration is not planned."""
    return Decision(
        configuration=configuration,
        topic="configuration",
        value="not planned",
        reason=reason,
        dropped=True,
    )
