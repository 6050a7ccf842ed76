from __future__ import annotations

import pytest

from autoseg.datasets.groups import find_groups
from autoseg.errors import InputError, UsageError

FRAMES = [f"patient{number:03d}_frame{frame:02d}" for number in range(1, 21) for frame in (1, 9)]


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
    found = find_groups(cases)
    assert found.groups[cases[0]] == group
    assert not found.warnings


@pytest.mark.parametrize("odd", ["extra", "zz_last_one", "phantom"])
def test_an_odd_name_leaves_the_patients_of_the_others_together(odd):
    found = find_groups(sorted([*FRAMES, odd]))
    assert found.num_groups == 21
    assert found.groups["patient007_frame01"] == found.groups["patient007_frame09"] == "patient007"
    assert found.groups[odd] == odd
    (warning,) = found.warnings
    assert f"no patient for 1 case: '{odd}'" in warning
    assert "--groups" in warning


def test_a_name_that_begins_with_a_patient_belongs_to_it():
    found = find_groups([*FRAMES, "patient001", "patient002_ED", "patient0021"])
    assert found.groups["patient001"] == "patient001"
    assert found.groups["patient002_ED"] == "patient002"
    assert found.groups["patient0021"] == "patient0021"
    assert "1 case: 'patient0021'" in found.warnings[0]


@pytest.mark.parametrize("odd", [[], ["phantom"]])
def test_what_all_names_begin_with_is_no_patient(odd):
    cases = [f"kits_2019_s{number:03d}" for number in range(30)] + odd
    found = find_groups(cases)
    assert found.num_groups == len(cases)
    assert not found.warnings


def test_many_cases_without_a_patient_are_counted_and_some_named():
    odd = [f"odd{index}" for index in range(7)]
    (warning,) = find_groups([*FRAMES, *odd]).warnings
    assert "7 cases: 'odd0', 'odd1', 'odd2', 'odd3', 'odd4' and 2 more" in warning


def test_a_pattern_groups_what_it_matches_and_names_the_rest():
    cases = ["a1x", "a2x", "b1x"]
    assert find_groups(cases, pattern=r"^(\w)\d").groups == {"a1x": "a", "a2x": "a", "b1x": "b"}
    found = find_groups([*cases, "??"], pattern=r"^(\w)\d")
    assert found.groups == {"a1x": "a", "a2x": "a", "b1x": "b", "??": "??"}
    assert "--group-pattern '^(\\w)\\d' finds no patient for 1 case: '??'" in found.warnings[0]


def test_an_empty_match_of_a_pattern_is_no_patient():
    found = find_groups(["p1_a", "p1_b", "qa", "qb"], pattern=r"(p\d)?")
    assert found.groups == {"p1_a": "p1", "p1_b": "p1", "qa": "qa", "qb": "qb"}
    assert "2 cases: 'qa', 'qb'" in found.warnings[0]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "no regular expression"), ("zzz", "finds no patient in any case.*'a1'")],
)
def test_a_pattern_that_says_nothing_is_refused(pattern, message):
    with pytest.raises(UsageError, match=message):
        find_groups(["a1", "a2"], pattern=pattern)


@pytest.mark.parametrize(
    "content",
    [
        b"case,group\na,p\nb,q\nc,q\n",
        b"\xef\xbb\xbfcase,patient\r\na,p\r\nb,q\r\nc,q\r\n",
        b"Case;Group\na;p\nb;q\nc;q\n",
        b"case\tsubject\na\tp\nb\tq\nc\tq\n",
        b'age,Patient , CASE\n"5,5",p,a\n7, q ,b\n9,q,c\n\n',
        b"case,group\na,p\na,p\nb,q\nc,q\n",
    ],
    ids=["plain", "BOM", "semicolon", "tabs", "quotes and other columns", "a row twice"],
)
def test_tables_are_read_whatever_program_wrote_them(tmp_path, content):
    (tmp_path / "g.csv").write_bytes(content)
    found = find_groups(["a", "b", "c"], table=tmp_path / "g.csv")
    assert found.groups == {"a": "p", "b": "q", "c": "q"}
    assert not found.warnings


def test_missing_and_surplus_rows_of_a_table_are_named(tmp_path):
    (tmp_path / "g.csv").write_text("case,group\na,p\nb,p\nd,\nz,q\n")
    found = find_groups(["a", "b", "c", "d"], table=tmp_path / "g.csv")
    assert found.groups == {"a": "p", "b": "p", "c": "c", "d": "d"}
    missing, surplus = found.warnings
    assert "g.csv: has no patient for 2 cases: 'c', 'd'" in missing
    assert "g.csv: the data set has no case 'z'" in surplus


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"needs the columns case and group, has \[\]"),
        (b"name,group\na,p\n", "needs the columns case and group, has .'name', 'group'"),
        (b"case,group\na,p\na,q\nb,q\n", "'a' is in the groups 'p', 'q'. Leave one row"),
        (b"case,group\na.nii.gz,p\n", "names none of the cases .'a', 'b'"),
        ("case,group\na,Mülle".encode("latin-1") + b"r\n", "cannot be read.*Save it as CSV"),
    ],
)
def test_a_faulty_table_is_refused(tmp_path, content, message):
    (tmp_path / "g.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        find_groups(["a", "b"], table=tmp_path / "g.csv")


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        find_groups(["a", "b"], table=tmp_path / "none.csv")
