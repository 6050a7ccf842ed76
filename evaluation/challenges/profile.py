"""What a challenge is: where its cases lie, its classes, what it needs, how it scores a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evaluation.files.label_maps import list_label_maps
from evaluation.labels import Classes
from evaluation.metrics.metric import Metric

Mode = Literal["official", "exact"]
Labels = npt.NDArray[np.integer]
Values = dict[str, dict[str, float]]
"""Class → metric → value."""


@dataclass(frozen=True, kw_only=True)
class ProfileCase:
    """Everything of a case that a challenge may look at, as arrays on one grid.

    Attributes:
        reference: Label map [z, y, x].
        prediction: Label map.
        spacing_mm: (z, y, x).
        raters: Label maps of the raters.
        probabilities: [c, z, y, x] of the foreground classes, in order.
        image: The image, where a profile crops to it.
        vessels: Label map of vessels.
    """

    reference: Labels
    prediction: Labels
    spacing_mm: tuple[float, ...]
    raters: tuple[Labels, ...] = ()
    probabilities: npt.NDArray[np.floating] | None = None
    image: npt.NDArray[Any] | None = None
    vessels: Labels | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A challenge.

    Attributes:
        title: Name for people, with the official program.
        classes: What is scored.
        metrics: Records of the values that `score` returns; `name_1`, `name_2` and so on have the
            record of `name`.
        score: Values of a case in a mode.
        needs: raters, probabilities.
        list_cases: Folder (or file) of references → case → label map; for challenges whose
            references do not lie side by side.
        references: Case and its reference's file → label maps that stand in for the raters' (read
            from files beside it, say); none where there are no such files.
        defects: What the official program gets wrong, in words; "" where the modes are equal.
        groups: Ranking → metrics whose ranks it averages.
        significance: Methods are also ranked by their wins in tests.
        tie_break: Metric and class that decide between methods with the same rank, or None.
    """

    title: str
    classes: Classes
    metrics: Mapping[str, Metric]
    score: Callable[[ProfileCase, Mode], Values]
    needs: tuple[Literal["raters", "probabilities"], ...] = ()
    list_cases: Callable[[Path], Mapping[str, Path]] = list_label_maps
    references: Callable[[str, Path], Sequence[Labels]] | None = None
    defects: str = ""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    significance: bool = False
    tie_break: tuple[str, str] | None = None

    def record(self, name: str) -> Metric:
        """What is known of a value."""
        return self.metrics[name if name in self.metrics else name.rpartition("_")[0]]


class NotDefinedError(Exception):
    """The official program raises an error for this case; the message says which."""
