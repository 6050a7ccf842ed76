from __future__ import annotations

from pathlib import Path

import pytest

from autoseg.checkpoint import Provenance
from autoseg.datasets.folds import Fold
from autoseg.errors import InputError
from autoseg.leaks import check_fold, fold_fault, learnt_cases


def made(train="abcd", val="ef"):
    return Provenance(
        dataset="d",
        fold="0",
        train_cases=tuple(train),
        val_cases=tuple(val),
        file_ending=".nii.gz",
        steps=1,
        val_dice=None,
    )


FOLD = Fold(train=tuple("abcd"), val=tuple("ef"))


@pytest.mark.parametrize(
    "provenances",
    [
        [made()],
        [made("dcba", "fe")],
        [made("ab", "ef"), made("cd", "ef")],  # a fusion, and a path on the other cases
        [made(), made("abcd", "ef")],
    ],
)
def test_a_model_belongs_to_the_fold_that_it_was_trained_on(provenances):
    assert fold_fault(provenances, FOLD) is None
    assert learnt_cases(provenances) == set("abcd")


@pytest.mark.parametrize(
    ("provenances", "fault"),
    [
        ([made("abce", "df")], "has learnt from validation cases .*'e'$"),
        ([made("abcdef", "")], "has learnt from validation cases .*'e', 'f'"),
        ([made(), made("abcf", "de")], "has learnt from validation cases .*'f'"),
        ([made("abcdx", "ef")], "has learnt from cases that the fold does not train on now: 'x'"),
        ([made("abc", "ef")], "has not learnt from training cases that the fold has now: 'd'"),
        ([made("abcd", "e")], "was validated on other cases"),
        ([made("", "")], "does not say which cases it has learnt from"),
        ([made(), made("", "")], "does not say which cases it has learnt from"),
    ],
)
def test_a_model_of_another_fold_is_found_out(provenances, fault):
    with pytest.raises(InputError, match=fault.rstrip("$")) as caught:
        check_fold(provenances, FOLD, Path("m.pt"), command="autoseg_train WS 2d 0 --overwrite")
    assert str(caught.value).startswith("m.pt: ")
    assert "autoseg_train WS 2d 0 --overwrite" in str(caught.value)
