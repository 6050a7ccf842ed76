from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoseg.datasets.folds import find_groups, make_folds, read_splits, write_splits
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


@pytest.mark.parametrize(
    ("cases", "group"),
    [
        (["patient001_frame01", "patient001_frame12", "patient002_frame01"], "patient001"),
        (["LIDC-IDRI-0003_n1", "LIDC-IDRI-0003_n2", "LIDC-IDRI-0004_n0"], "LIDC-IDRI-0003"),
        (["sub-01_ses-01", "sub-01_ses-02", "sub-02_ses-01"], "sub-01"),
        (["hippocampus_001", "hippocampus_003", "hippocampus_004"], "hippocampus_001"),
    ],
)
def test_patients_are_found_in_the_names(cases, group):
    assert find_groups(cases).groups[cases[0]] == group


def test_a_pattern_or_a_table_names_the_patients(tmp_path):
    cases = ["a1x", "a2x", "b1x"]
    assert find_groups(cases, pattern=r"^(\w)\d").groups == {"a1x": "a", "a2x": "a", "b1x": "b"}
    table = tmp_path / "groups.csv"
    table.write_text("case,patient\na1x,p\na2x,q\nb1x,q\n")
    assert find_groups(cases, table=table).groups == {"a1x": "p", "a2x": "q", "b1x": "q"}
    table.write_text("case,patient\na1x,p\n")
    with pytest.raises(InputError, match="no group for the case 'a2x'"):
        find_groups(cases, table=table)
    with pytest.raises(UsageError, match="does not match the case 'a1x'"):
        find_groups(cases, pattern="zzz")
    with pytest.raises(UsageError, match="no regular expression"):
        find_groups(cases, pattern="(")


def test_splits_are_read_as_they_were_written(tmp_path):
    presence = {f"c{index}": ("a",) for index in range(6)}
    folds = make_folds(presence, {case: case for case in presence}, num_folds=3, seed=0)
    write_splits(tmp_path / "s.json", folds)
    assert read_splits(tmp_path / "s.json", list(presence)) == folds


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "expected a list"),
        ([{"train": ["a"]}], "fold 0 is not as expected"),
        ([{"train": ["a"], "val": ["z"]}], "names 'z', which is no case"),
        ([{"train": ["a", "b"], "val": ["b"]}], "trains and validates on 'b'"),
        ([{"train": [], "val": ["b"]}], "no training cases"),
    ],
)
def test_faulty_splits_are_refused(tmp_path, plain, message):
    (tmp_path / "s.json").write_text(json.dumps(plain))
    with pytest.raises(InputError, match=message):
        read_splits(tmp_path / "s.json", ["a", "b"])
