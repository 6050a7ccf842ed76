"""What is known of a metric: how it is computed, direction, unit, range, empty-mask policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evaluation.measures.grid import Grid
from evaluation.measures.masks import MaskPair
from evaluation.measures.rater_case import RaterCase
from evaluation.measures.reliability import Calibration
from evaluation.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric; exactly one of the three functions is there and says what it needs.

    Attributes:
        title: Name for people.
        of_masks: From two masks of a class.
        of_probabilities: From the calibration counts of a class, or of all classes together.
        of_raters: From several raters' masks of a class.
        direction: Which values are better; None where neither is.
        unit: Unit, "" for shares and counts.
        low: Smallest value.
        high: Largest value (inf: none).
        empty: What the value is where masks are empty, in words.
        accepts: Settings that may stand behind the name, as in `hd95:medpy`.
        source: Paper or program that defines it.
        worst: No prediction is worse than this, where `low` or `high` is no finite one; None: the
            image's diagonal for distances in mm.
        needs_soft: Of metrics of raters: whether it looks at probabilities where there are some.
        scope: Whether it has a value per class, or one for all classes together.
        adaptive: Whether its bins hold equal numbers of voxels whatever the settings say.
    """

    title: str
    of_masks: Callable[[MaskPair, Settings], float] | None = None
    of_probabilities: Callable[[Calibration, Settings], float] | None = None
    of_raters: Callable[[RaterCase, Settings], float] | None = None
    direction: Literal["higher", "lower"] | None
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    empty: str
    accepts: tuple[str, ...] = ()
    source: str
    worst: Callable[[Grid, Settings], float] | None = None
    needs_soft: bool = False
    scope: Literal["class", "all"] = "class"
    adaptive: bool = False

    @property
    def higher_is_better(self) -> bool | None:
        """Direction as a truth value; None where neither is better."""
        return None if self.direction is None else self.direction == "higher"

    @property
    def needs(self) -> str:
        """What the metric is computed from."""
        if self.of_masks is not None:
            return "label maps"
        return "probabilities" if self.of_probabilities is not None else "several raters"
