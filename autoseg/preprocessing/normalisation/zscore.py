"""Z-score of the image itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoseg.schema.plan import IntensityStatistics

Floats = npt.NDArray[np.float32]


def zscore(
    channel: Floats, mask: npt.NDArray[np.bool_] | None, statistics: IntensityStatistics | None
) -> Floats:
    """Subtracts the mean, divides by the standard deviation; inside the mask where one is given.

    Voxels outside the mask become 0.
    """
    values = channel if mask is None else channel[mask]
    mean = values.mean(dtype=np.float64) if values.size else 0.0
    std = values.std(dtype=np.float64) if values.size else 0.0
    result = ((channel - np.float32(mean)) / np.float32(max(std, 1e-8))).astype(np.float32)
    if mask is not None:
        result[~mask] = 0
    return result
