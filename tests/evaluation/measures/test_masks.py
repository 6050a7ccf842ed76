"""Pairs of masks."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.measures.masks import MaskPair


def test_pairs_check_shape_and_spacing():
    mask = np.ones((2, 2, 2), dtype=bool)
    with pytest.raises(ValueError, match="shapes differ"):
        MaskPair(mask, mask[:1])
    with pytest.raises(ValueError, match="numbers above 0"):
        MaskPair(mask, mask, (1, 0, 1))
