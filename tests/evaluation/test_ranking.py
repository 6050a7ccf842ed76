"""Rankings of methods."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.ranking import rank


def tables(values):
    return {"dice": np.array(values, dtype=float)[:, :, None]}


def test_schemes_rank_as_they_say():
    # y is best in two of three cases, x on the mean.
    values = tables([[0.5, 0.5, 1.0], [0.6, 0.6, 0.1]])
    means = rank(("x", "y"), values, "mean then rank")
    assert (means.methods, means.ranks) == (("x", "y"), {"x": 1, "y": 2})
    cases = rank(("x", "y"), values, "rank then mean")
    assert cases.ranks == {"y": 1, "x": 2}
    assert sum(cases.stability["x"]) == pytest.approx(1)
    assert rank(("x", "y"), values, "mean then rank") == means


def test_equal_methods_share_a_rank_unless_something_decides():
    values = tables([[0.5, 0.6], [0.6, 0.5], [0.1, 0.1]])
    assert rank(("x", "y", "z"), values, "mean then rank").ranks == {"x": 1, "y": 1, "z": 3}
    tie_break = np.array([[0.1, 0.1], [0.2, 0.2], [0.9, 0.9]])
    decided = rank(("x", "y", "z"), values, "mean then rank", tie_break=tie_break)
    assert decided.ranks == {"y": 1, "x": 2, "z": 3}


def test_significance_counts_wins():
    rng = np.random.default_rng(0)
    base = rng.random(30) * 0.2
    values = tables([base + 0.5, base + 0.2 + rng.normal(0, 0.01, 30), base])
    found = rank(("a", "b", "c"), values, "significance", resamples=20)
    assert found.ranks == {"a": 1, "b": 2, "c": 3}
    assert found.stability["a"][0] == 1


def test_a_clear_winner_is_stable_and_a_close_one_is_not():
    rng = np.random.default_rng(1)
    noise = rng.random((2, 20))
    clear = rank(("a", "b"), tables(noise * 0.1 + [[1], [0]]), "mean then rank")
    assert clear.stability["a"][0] == 1
    close = rank(("a", "b"), tables(noise), "mean then rank")
    assert 0 < close.stability[close.methods[0]][0] < 1
