"""To which orientation all cases are turned."""

from __future__ import annotations

from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.orientation import Orientation
from autoseg.schema.plan import Decision
from autoseg.schema.recipe import Recipe


def stored_orientations(fingerprint: Fingerprint) -> tuple[Orientation, ...]:
    """In which orientations the cases are stored; none for two-dimensional ones."""
    found = {item.orientation for item in fingerprint.cases.values() if item.dimensions == 3}
    return tuple(sorted(found))


def choose_orientation(
    fingerprint: Fingerprint, recipe: Recipe | None
) -> tuple[Orientation | None, Decision]:
    """The orientation that all cases share, or one for all; None for two-dimensional ones.

    Args:
        fingerprint: Has the orientation of every case.
        recipe: May choose another, or None.
    """
    stored = stored_orientations(fingerprint)
    listed = ", ".join(stored)
    orientation: Orientation | None = None
    if recipe is not None and recipe.orientation is not None:
        orientation, reason = recipe.orientation, f"the recipe's; the cases are stored {listed}"
    elif not stored:
        reason = "the images are two-dimensional"
    elif len(stored) == 1:
        orientation, reason = stored[0], "all cases are stored so; other images are turned to it"
    else:
        orientation, reason = "LPS", f"the cases have different orientations ({listed})"
    value = orientation or "as it is"
    return orientation, Decision(topic="orientation", value=value, reason=reason)
