from __future__ import annotations

import json

import pytest

from autoseg.datasets.folds import Fold, make_folds
from autoseg.datasets.splits import read_splits, write_splits
from autoseg.errors import InputError


def test_splits_are_read_as_they_were_written(tmp_path):
    presence = {f"c{index}": ("a",) for index in range(6)}
    folds = make_folds(presence, {case: case for case in presence}, num_folds=3, seed=0)
    write_splits(tmp_path / "s.json", folds)
    assert read_splits(tmp_path / "s.json", list(presence)) == folds


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "s.json").write_text('\ufeff[{"train": ["a"], "val": ["b"]}]', encoding="utf-8")
    assert read_splits(tmp_path / "s.json", "ab") == (Fold(train=("a",), val=("b",)),)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "holds \\[\\]; expected a list"),
        ({"train": ["a"], "val": ["b"]}, "expected a list"),
        ("a", "expected a list"),
        (5, "holds 5; expected a list"),
        (None, "holds null; expected a list"),
        ([{"train": ["a"]}], "fold 0 is .*expected a list"),
        ([["a"], ["b"]], 'fold 0 is \\["a"\\]; expected a list'),
        ([{"train": "ab", "val": ["b"]}], 'fold 0 has "ab" as train, expected a list of case'),
        ([{"train": ["a"], "val": 5}], "fold 0 has 5 as val, expected a list of case"),
        ([{"train": ["a"], "val": None}], "fold 0 has null as val"),
        ([{"train": ["a"], "val": [1]}], "fold 0 has \\[1\\] as val"),
        ([{"train": {"a": 1}, "val": ["b"]}], "fold 0 has .* as train"),
        ([{"train": ["a"], "val": ["z"]}], "fold 0 names 'z' in val, no case"),
        ([{"train": ["a", "b"], "val": ["b"]}], "fold 0 trains and validates on 'b'"),
        ([{"train": ["a", "a"], "val": ["b"]}], "fold 0 has 'a' twice in train"),
        ([{"train": [], "val": ["b"]}], "fold 0 has no training cases"),
        ([{"train": ["a", "b"], "val": []}], "fold 0 has no validation cases"),
    ],
)
def test_faulty_splits_are_refused(tmp_path, plain, message):
    (tmp_path / "s.json").write_text(json.dumps(plain))
    with pytest.raises(InputError, match=message):
        read_splits(tmp_path / "s.json", ["a", "b"])


def test_all_faults_of_all_folds_are_listed(tmp_path):
    plain = [
        {"train": ["a", "a"], "val": ["z"]},
        {"train": ["a"], "val": ["b"]},
        {"train": 3, "val": []},
    ]
    (tmp_path / "s.json").write_text(json.dumps(plain))
    with pytest.raises(InputError) as caught:
        read_splits(tmp_path / "s.json", ["a", "b"])
    lines = str(caught.value).splitlines()
    assert [line.split("fold ")[1][0] for line in lines] == ["0", "0", "2"]


@pytest.mark.parametrize("content", [b"[{", b"\xff\xfe", b""])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "s.json").write_bytes(content)
    with pytest.raises(InputError, match=r"s.json: cannot be read as JSON"):
        read_splits(tmp_path / "s.json", ["a"])
    with pytest.raises(InputError, match=r"none.json: no such file. Run autoseg_plan"):
        read_splits(tmp_path / "none.json", ["a"])
