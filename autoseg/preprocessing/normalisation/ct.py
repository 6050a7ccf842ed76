"""CT: clip to the foreground's range over all cases, then standardise by its statistics."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoseg.errors import SchemaError
from autoseg.schema.plan import IntensityStatistics

Floats = npt.NDArray[np.float32]


def ct(
    channel: Floats, mask: npt.NDArray[np.bool_] | None, statistics: IntensityStatistics | None
) -> Floats:
    """Clips to the 0.5 and 99.5 percentile, subtracts the mean, divides by the deviation."""
    if statistics is None:
        raise SchemaError("The plan's channel is normalised as CT but has no statistics.")
    clipped = np.clip(channel, statistics.percentile_00_5, statistics.percentile_99_5)
    clipped -= np.float32(statistics.mean)
    clipped /= np.float32(max(statistics.std, 1e-8))
    return clipped
