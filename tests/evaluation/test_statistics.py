"""Statistics and comparisons: seeded, and right where a hand can check."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics import (
    class_means,
    compare,
    describe,
    drawn_sums,
    permutation_p,
    wilcoxon_p,
)


def test_descriptions_are_those_of_numpy():
    values = [0.1, 0.5, math.nan, 0.9, 0.7]
    found = describe(values)
    known = np.array([0.1, 0.5, 0.9, 0.7])
    assert (found.number, found.not_counted) == (4, 1)
    assert found.mean == pytest.approx(known.mean())
    assert found.median == pytest.approx(np.median(known))
    assert found.deviation == pytest.approx(known.std(ddof=1))
    assert found.mean_low < found.mean < found.mean_high
    assert describe(values) == found
    many = list(np.random.default_rng(0).random(50))
    assert describe(many, seed=1).mean_low != describe(many).mean_low
    assert describe([math.nan]).to_plain()["mean"] is None
    assert describe([math.inf, 1.0]).to_plain()["mean"] is None


def test_bootstrap_intervals_cover_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        found = describe(list(rng.normal(0, 1, 40)), seed)
        hits += found.mean_low <= 0 <= found.mean_high
    assert 0.88 <= hits / 200 <= 0.99


def test_tests_are_those_of_scipy():
    gaps = np.random.default_rng(0).normal(0.3, 1, 30)
    assert wilcoxon_p(gaps) == pytest.approx(stats.wilcoxon(gaps).pvalue)
    assert wilcoxon_p(np.zeros(4)) == 1
    assert math.isnan(wilcoxon_p(np.zeros(0)))
    assert permutation_p(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 8)
    expected = stats.permutation_test(
        (gaps,), np.mean, permutation_type="samples", n_resamples=9999, rng=0
    ).pvalue
    assert permutation_p(gaps) == pytest.approx(expected, abs=0.02)


def test_comparisons_pair_the_cases():
    found = compare([0.9, 0.8, math.nan, 0.7], [0.8, 0.7, 0.1, 0.6], ("dice", "a", "x", "y"))
    assert found.number == 3
    assert found.difference == pytest.approx(0.1)


@pytest.mark.filterwarnings("error")
def test_infinite_values_count_where_they_are_drawn():
    table = np.array([[1.0, np.inf], [2.0, 3.0], [np.nan, -np.inf]])
    draws = np.array([[1.0, 1, 0], [0, 2, 0], [0, 1, 1]])
    expected = [[3, np.inf], [4, 6], [2, -np.inf]]
    assert drawn_sums(table, draws).tolist() == expected
    assert class_means(table, draws)[:2].tolist() == [np.inf, 2.5]
