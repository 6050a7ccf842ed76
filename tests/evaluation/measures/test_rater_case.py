"""Several raters' masks and soft predictions of one class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from evaluation.measures.rater_case import RaterCase, make_soft

probabilities = npst.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32))


@settings(deadline=None)
@given(probabilities)
def test_volumes_above_thresholds_are_counted(values):
    soft = make_soft(values)
    for level, count in zip(soft.levels, soft.exceeding, strict=True):
        above = (values.astype(np.float64) * 100 > level * 100).sum()
        assert abs(int(count) - int(above)) <= int(np.isclose(values, level).sum())
    assert soft.volume_voxels == pytest.approx(float(values.sum(dtype=np.float64)))


def test_values_of_a_box_are_those_of_the_image(raters):
    whole = RaterCase(raters, raters[0])
    box = (slice(0, 6), slice(0, 20), slice(0, 20))
    wide = [np.pad(mask, 4) for mask in raters]
    cut = RaterCase([mask[box] for mask in raters], raters[0][box], size=wide[0].size)
    padded = RaterCase(wide, wide[0])
    assert cut.vote_counts().tolist() == padded.vote_counts().tolist()
    assert cut.vote_counts().sum() == wide[0].size
    assert whole.volumes_ml.tolist() == cut.volumes_ml.tolist()
