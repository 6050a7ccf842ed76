"""Table of targets: `make(raters, labels, generator) -> (target, valid_mask)` of a patch.

Shapes and an example: README.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from autoseg.registry import Registry
from autoseg.schema.labels import LabelScheme
from autoseg.targets.majority import majority
from autoseg.targets.random_rater import random_rater
from autoseg.targets.soft import soft

MakeTarget = Callable[[Tensor, LabelScheme, np.random.Generator], tuple[Tensor, Tensor | None]]
"""(raters [r, *patch], label scheme, generator) → (target, valid_mask)."""

TARGETS: Registry[MakeTarget] = Registry(
    "target",
    {
        "majority": majority,
        "random_rater": random_rater,
        "soft": soft,
    },
)
