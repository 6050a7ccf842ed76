"""No prediction is worse than none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from evaluation.measures.grid import Grid
from evaluation.measures.masks import MaskPair
from evaluation.measures.rater_case import RaterCase, make_soft
from evaluation.metrics import METRICS
from evaluation.scoring.worst import worst_value
from evaluation.settings import Settings

SHAPE, SPACING = (3, 4, 5), (2.0, 1.0, 0.5)
GRID = Grid(shape=SHAPE, spacing_mm=SPACING)
VOXEL_ML = 0.001
DIRECTED = [name for name, metric in METRICS.items() if metric.direction is not None]
OF_MASKS = [name for name in DIRECTED if METRICS[name].of_masks]
OF_RATERS = [name for name in DIRECTED if METRICS[name].of_raters]
policies = st.sampled_from(("nan", "worst", "best", "inf", "official", "0.5", "-3", "1000"))
masks = npst.arrays(bool, SHAPE) | st.sampled_from((np.zeros(SHAPE, bool), np.ones(SHAPE, bool)))


def is_no_better(metric, worst, value):
    if math.isnan(value):
        return True
    return worst <= value if metric.direction == "higher" else worst >= value


@settings(deadline=None, max_examples=60)
@given(masks, masks, policies, policies, st.sampled_from((6, 18, 26)))
def test_no_label_map_is_worse_than_none(reference, prediction, both, one, connectivity):
    chosen = Settings(both_empty=both, one_empty=one, connectivity=connectivity)
    empty = MaskPair(reference, np.zeros(SHAPE, bool), SPACING)
    pair = MaskPair(reference, prediction, SPACING)
    for name in OF_MASKS:
        metric = METRICS[name]
        worst = worst_value(metric, GRID, chosen, metric.of_masks(empty, chosen))
        assert not math.isnan(worst), name
        assert is_no_better(metric, worst, metric.of_masks(pair, chosen)), name


@settings(deadline=None, max_examples=60)
@given(
    npst.arrays(bool, (3, *SHAPE)),
    masks,
    npst.arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32)),
    policies,
    st.sampled_from(("exact", "official")),
)
def test_no_prediction_of_what_raters_outlined_is_worse_than_none(
    raters, prediction, soft, both, crps
):
    chosen = Settings(both_empty=both, crps=crps)
    case = RaterCase(list(raters), prediction, soft=make_soft(soft), voxel_ml=VOXEL_ML)
    for name in OF_RATERS:
        metric = METRICS[name]
        worst = worst_value(metric, GRID, chosen)
        assert not math.isnan(worst), name
        assert is_no_better(metric, worst, metric.of_raters(case, chosen)), name


@pytest.mark.parametrize("policy", ["nan", "best", "inf", "1"])
def test_a_missing_prediction_is_not_perfect_where_nothing_was_to_be_found(policy):
    chosen = Settings(both_empty=policy)
    empty = MaskPair(np.zeros(SHAPE, bool), np.zeros(SHAPE, bool), SPACING)
    expected = {
        "dice": 0.0,
        "specificity": 0.0,
        "lesion_f1": 0.0,
        "hd95": math.hypot(6, 4, 2.5) if policy != "inf" else math.inf,
        "absolute_volume_difference": 60 * 0.001,
        "lesion_count_difference": 2 * 2 * 3,
    }
    for name, value in expected.items():
        metric = METRICS[name]
        found = worst_value(metric, GRID, chosen, metric.of_masks(empty, chosen))
        assert found == pytest.approx(value), name


@pytest.mark.parametrize("connectivity", [4, 6, 8, 18, 26])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 5, 5), (5, 4), (1, 7)])
def test_no_mask_has_more_components(connectivity, shape):
    bound = Grid(shape=shape, spacing_mm=(1.0,) * len(shape)).most_components(connectivity)
    grid = np.indices(shape)
    if connectivity in (4, 6):
        mask, rank = grid.sum(axis=0) % 2 == 0, 1
    elif connectivity == 18 and len(shape) == 3:
        mask, rank = (grid % 2 == grid[:1] % 2).all(axis=0), 2
    else:
        mask, rank = (grid % 2 == 0).all(axis=0), len(shape)
    count = ndimage.label(mask, ndimage.generate_binary_structure(len(shape), rank))[1]
    assert count <= bound
    if connectivity != 18:
        assert count == bound
