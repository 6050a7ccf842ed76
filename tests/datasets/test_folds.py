from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoseg.datasets.folds import make_folds
from autoseg.errors import InputError, UsageError

names = st.lists(st.integers(0, 60), min_size=8, max_size=40, unique=True)


@given(names, st.integers(2, 5), st.integers(0, 5), st.data())
def test_folds_partition_the_cases_and_keep_groups_together(numbers, num_folds, seed, data):
    cases = [f"case_{number}" for number in numbers]
    groups = {case: f"g{data.draw(st.integers(0, len(cases)))}" for case in cases}
    presence = {case: data.draw(st.lists(st.sampled_from("abc"), unique=True)) for case in cases}
    if len(set(groups.values())) < num_folds:
        with pytest.raises(InputError, match="too few cases"):
            make_folds(presence, groups, num_folds=num_folds, seed=seed)
        return
    folds = make_folds(presence, groups, num_folds=num_folds, seed=seed)
    assert sorted(case for fold in folds for case in fold.val) == sorted(cases)
    for fold in folds:
        assert fold.val
        assert set(fold.train) == set(cases) - set(fold.val)
        assert not {groups[case] for case in fold.train} & {groups[case] for case in fold.val}


def test_a_rare_class_is_spread_over_the_folds():
    presence = {
        f"c{index}": ("organ", "tumour") if index < 5 else ("organ",) for index in range(25)
    }
    groups = {case: case for case in presence}
    folds = make_folds(presence, groups, num_folds=5, seed=0)
    assert [sum("tumour" in presence[case] for case in fold.val) for fold in folds] == [1] * 5
    assert [len(fold.val) for fold in folds] == [5] * 5


def test_the_seed_decides():
    presence = {f"c{index}": ("a",) for index in range(20)}
    groups = {case: case for case in presence}
    first = make_folds(presence, groups, num_folds=4, seed=1)
    assert make_folds(presence, groups, num_folds=4, seed=1) == first
    assert make_folds(presence, groups, num_folds=4, seed=2) != first


@pytest.mark.parametrize("number", [-1, 0, 1])
def test_less_than_two_folds_are_refused(number):
    presence = {f"c{index}": ("a",) for index in range(4)}
    with pytest.raises(UsageError, match="at least 2 are needed"):
        make_folds(presence, {case: case for case in presence}, num_folds=number, seed=0)
