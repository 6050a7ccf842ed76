"""How folds are wanted: what the options of planning say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoseg.datasets.folds import MIN_FOLDS
from autoseg.errors import UsageError
from autoseg.schema.plan_request import PlanRequest


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


def request_folds(request: PlanRequest) -> FoldRequest:
    """The folds that a user asked for.

    Args:
        request: Options of planning, a recipe's included.

    Raises:
        UsageError: There is to be less than two folds, or there are pattern and table.
    """
    number, pattern = request.num_folds, request.group_pattern
    table = None if request.groups is None else Path(request.groups).resolve()
    if number is not None and number < MIN_FOLDS:
        raise UsageError(
            f"--num-folds {number}: at least {MIN_FOLDS} are needed. To train on all cases, train "
            "the fold 'all'."
        )
    if pattern is not None and table is not None:
        raise UsageError("--group-pattern and --groups both say which cases belong together.")
    return FoldRequest(number=number, pattern=pattern, table=table, seed=request.seed)
