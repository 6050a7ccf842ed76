"""One of the raters, another one each time, so that a network learns how they spread."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from autoseg.schema.labels import LabelScheme
from autoseg.targets.label_map import from_label_map


def random_rater(
    raters: Tensor, labels: LabelScheme, generator: np.random.Generator
) -> tuple[Tensor, Tensor | None]:
    """The label map of a rater of the case, drawn uniformly, as a hard target.

    Args:
        raters: [r, *patch] int64 indices.
        labels: What the indices mean.
        generator: Draws the rater.
    """
    return from_label_map(raters[int(generator.integers(len(raters)))], labels)
