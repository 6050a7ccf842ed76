"""The official volume score and where it saturates."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.measures.official_crps import official_crps
from evaluation.metrics.raters import exact_crps


def test_the_official_crps_saturates_and_the_exact_one_does_not():
    far = [official_crps([90, 100, 110], value) for value in (0, -1000)]
    assert far[0] == pytest.approx(far[1], rel=1e-6)
    deviation = float(np.std([90, 100, 110]))
    assert exact_crps(100, deviation, -1000) > exact_crps(100, deviation, 0) > far[0]
