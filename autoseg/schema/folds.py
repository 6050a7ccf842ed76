"""How the folds of a workspace came about, so that a later plan can tell whether they fit it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class FoldOrigin:
    """What made a workspace's folds.

    Attributes:
        reason: For people.
        digest: Hash of the splits file as it was written; another one means that somebody has
            changed the file since. Empty where there are too few cases for folds.
        given: File that they were copied from, or None where they were made here.
        number: Number of folds that was asked for, or None.
        pattern: --group-pattern, or None.
        table: --groups, or None.
        seed: Seed that dealt the groups out.
        groups: Case → group, of folds that were made here and where an option told it.
    """

    reason: str
    digest: str
    given: Path | None
    number: int | None
    pattern: str | None
    table: Path | None
    seed: int
    groups: dict[str, str] = field(default_factory=dict)
