"""Table of normalisations: `(channel, nonzero_mask, statistics) -> channel`.

A channel is [z, y, x] float32; the mask is None unless the plan asks for statistics inside it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from autoseg.preprocessing.normalisation.ct import ct
from autoseg.preprocessing.normalisation.percentile import percentile
from autoseg.preprocessing.normalisation.rescale import none, rescale_0_1, rgb_0_1
from autoseg.preprocessing.normalisation.zscore import zscore
from autoseg.registry import Registry
from autoseg.schema.plan import IntensityStatistics

Floats = npt.NDArray[np.float32]
Normalisation = Callable[[Floats, npt.NDArray[np.bool_] | None, IntensityStatistics | None], Floats]

NORMALISATIONS: Registry[Normalisation] = Registry(
    "normalisation",
    {
        "ct": ct,
        "zscore": zscore,
        "rescale_0_1": rescale_0_1,
        "percentile": percentile,
        "rgb_0_1": rgb_0_1,
        "none": none,
    },
)

_BY_CHANNEL_NAME = {
    "ct": "ct",
    "nonorm": "none",
    "zscore": "zscore",
    "rescale_to_0_1": "rescale_0_1",
    "rgb_to_0_1": "rgb_0_1",
    "percentile": "percentile",
}


def normalisation_for(channel_name: str) -> str:
    """Name of the normalisation for a channel name; z-score for names that say nothing."""
    return _BY_CHANNEL_NAME.get(channel_name.casefold(), "zscore")
