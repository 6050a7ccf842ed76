"""How folds are wanted: what the options of planning say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoseg.datasets.folds import MIN_FOLDS
from autoseg.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class FoldRequest:
    """How folds are wanted.

    Attributes:
        number: Number of folds; None for five, or one per patient where there are fewer.
        pattern: Regular expression that finds the patient in a case name.
        table: CSV with the columns case and group.
        seed: Breaks ties.
    """

    number: int | None
    pattern: str | None
    table: Path | None
    seed: int

    @property
    def has_groups(self) -> bool:
        """Whether it says which cases belong together."""
        return self.pattern is not None or self.table is not None


def request_folds(
    number: int | None,
    pattern: str | None,
    table: Path | None,
    seed: int,
    usual_pattern: str | None,
) -> FoldRequest:
    """The folds that a user asked for.

    Args:
        number: --num-folds.
        pattern: --group-pattern.
        table: --groups.
        seed: --seed.
        usual_pattern: Pattern of a recipe, for want of both.

    Raises:
        UsageError: There is to be less than two folds, or there are pattern and table.
    """
    if number is not None and number < MIN_FOLDS:
        raise UsageError(
            f"--num-folds {number}: at least {MIN_FOLDS} are needed. To train on all cases, train "
            "the fold 'all'."
        )
    if pattern is not None and table is not None:
        raise UsageError("--group-pattern and --groups both say which cases belong together.")
    if pattern is None and table is None:
        pattern = usual_pattern
    table = None if table is None else table.resolve()
    return FoldRequest(number=number, pattern=pattern, table=table, seed=seed)
