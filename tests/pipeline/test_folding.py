"""Which folds a workspace gets: one rule, everything else an error."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from autoseg import planned
from autoseg.datasets.folds import Fold
from autoseg.datasets.splits import read_splits, write_splits
from autoseg.errors import InputError, UsageError
from autoseg.pipeline.fold_request import FoldRequest, request_folds
from autoseg.pipeline.folding import find_folds, fold_faults, keeps_folds, save_folds
from autoseg.planning.choices import with_recipe
from autoseg.schema import serialise
from autoseg.schema.dataset import Case, Dataset
from autoseg.schema.plan_request import PlanRequest
from autoseg.schema.recipe import Recipe
from autoseg.workspace import Workspace
from tests.conftest import SCHEME

PLAIN = FoldRequest(number=None, pattern=None, table=None, seed=0)
PAIRS = FoldRequest(number=None, pattern=r"^(..)", table=None, seed=0)


class Planned:
    """A data set and a workspace, without any image."""

    def __init__(self, root, num_cases=12):
        self.root = root / "data"
        self.root.mkdir()
        self.workspace = Workspace(root / "ws")
        self.cases = [f"p{index // 2}{'ab'[index % 2]}" for index in range(num_cases)]

    @property
    def dataset(self):
        cases = tuple(
            Case(identifier=name, images=(self.root / f"{name}.nii.gz",)) for name in self.cases
        )
        return Dataset(
            name="data",
            root=self.root,
            channel_names=("CT",),
            labels=SCHEME,
            file_ending=".nii.gz",
            cases=cases,
        )

    def plan(self, request=PLAIN):
        """Does with the folds what planning does, and returns those in the workspace."""
        dataset = self.dataset
        if faults := fold_faults(self.workspace, dataset, request):
            raise InputError("\n".join(faults))
        records = {name: SimpleNamespace(labels={"1": None}) for name in self.cases}
        choice = find_folds(self.workspace, dataset, SimpleNamespace(cases=records), request)
        save_folds(self.workspace, choice)
        serialise.save(dataset, self.workspace.dataset)
        self.decision = choice.decision
        folds = planned.load_folds(self.workspace, dataset)
        assert folds == choice.folds
        return folds

    def learn(self, fold=0):
        """Leaves a model in the workspace."""
        path = self.workspace.run("2d", fold).last
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"model")

    def give(self, *folds):
        """Puts a splits file into the data set."""
        write_splits(self.root / "splits_final.json", folds)
        return folds


@pytest.fixture
def place(tmp_path):
    return Planned(tmp_path)


HALVES = (
    Fold(train=("p0a", "p0b", "p1a", "p1b"), val=("p2a", "p2b")),
    Fold(train=("p2a", "p2b"), val=("p0a", "p0b", "p1a", "p1b")),
)


def patients(names):
    return {name[:2] for name in names}


def test_five_folds_are_made_and_kept(place):
    folds = place.plan()
    assert len(folds) == 5
    place.learn()
    assert place.plan() == folds
    assert keeps_folds(place.workspace, PLAIN)
    assert keeps_folds(place.workspace, replace(PLAIN, number=5))
    assert "as before" in place.decision.reason


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (PLAIN, replace(PLAIN, number=3)),
        (PLAIN, replace(PLAIN, seed=1)),
        (PLAIN, PAIRS),
        (PAIRS, replace(PLAIN, pattern=r"(.)$", number=2)),
        (PLAIN, replace(PAIRS, number=2)),
    ],
    ids=["number", "seed", "pattern", "other pattern", "number and pattern"],
)
def test_changed_options_take_effect_until_a_model_has_learnt(place, tmp_path, first, second):
    before = place.plan(first)
    assert not keeps_folds(place.workspace, second)
    after = place.plan(second)
    assert after != before
    (tmp_path / "other").mkdir()
    assert after == Planned(tmp_path / "other").plan(second)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (replace(PLAIN, number=3), "--num-folds 3: .*splits_final.json has 5"),
        (replace(PLAIN, seed=1), "--seed 1: .*was made with --seed 0"),
        (PAIRS, "--group-pattern: .*was made with other groups"),
    ],
    ids=["number", "seed", "pattern"],
)
def test_changed_options_are_refused_once_a_model_has_learnt(place, changed, message):
    before = place.plan()
    place.learn()
    for call in (place.plan, lambda request: keeps_folds(place.workspace, request)):
        with pytest.raises(UsageError, match=message) as caught:
            call(changed)
        assert "--overwrite" in str(caught.value)
        assert "another --workspace" in str(caught.value)
    assert place.plan() == before


def test_a_changed_table_takes_effect_or_is_refused(place, tmp_path):
    table = tmp_path / "g.csv"
    table.write_text("case,group\n" + "".join(f"{name},{name[:2]}\n" for name in place.cases))
    request = replace(PLAIN, table=table, number=3)
    before = place.plan(request)
    assert keeps_folds(place.workspace, request)
    table.write_text("case,group\n" + "".join(f"{name},{name[2]}{name}\n" for name in place.cases))
    after = place.plan(request)
    assert after != before
    place.learn()
    table.write_text("case,group\n" + "".join(f"{name},{name[:2]}\n" for name in place.cases))
    with pytest.raises(UsageError, match="--groups: .*other groups .from g.csv"):
        place.plan(request)
    # Other names for the same groups change nothing.
    table.write_text("case,group\n" + "".join(f"{name},x{name}\n" for name in place.cases))
    assert place.plan(request) == after


def test_options_that_are_left_out_stay_as_they_were(place):
    place.plan(replace(PAIRS, number=3))
    place.cases += ["p6a", "p6b"]
    folds = place.plan()
    assert len(folds) == 3
    for fold in folds:
        assert not patients(fold.train) & patients(fold.val)
    assert {name for fold in folds for name in fold.val} == set(place.cases)


def test_new_cases_come_into_folds_that_no_model_knows(place):
    place.plan()
    place.cases.append("q0a")
    folds = place.plan()
    assert sum("q0a" in fold.val for fold in folds) == 1
    place.cases.remove("p0a")
    assert all("p0a" not in (*fold.train, *fold.val) for fold in place.plan())


def test_new_cases_are_refused_with_a_remedy_once_a_model_has_learnt(place):
    before = place.plan()
    place.learn()
    place.cases += ["q0a", "q1a"]
    with pytest.raises(InputError, match="2 cases are in no fold: 'q0a', 'q1a'") as caught:
        place.plan()
    assert "remove" in str(caught.value)
    # The remedy works: without the file new folds are made.
    place.workspace.splits.unlink()
    after = place.plan()
    assert after != before
    assert sum("q0a" in fold.val for fold in after) == 1


def test_a_case_that_is_gone_is_named_once_a_model_has_learnt(place):
    place.plan()
    place.learn()
    place.cases.remove("p0a")
    with pytest.raises(InputError, match="fold 0 names 'p0a' in .*no case of the data set"):
        place.plan()


def test_the_data_sets_folds_are_copied(place):
    place.cases = place.cases[:6]
    place.give(*HALVES)
    assert place.plan() == HALVES
    assert place.plan() == HALVES
    assert read_splits(place.workspace.splits, place.cases) == HALVES
    assert f"given by {place.root / 'splits_final.json'}" in place.decision.reason


def test_the_data_sets_folds_that_come_later_count_until_a_model_has_learnt(place):
    place.cases = place.cases[:6]
    place.plan()
    place.give(*HALVES)
    assert not keeps_folds(place.workspace, PLAIN)
    assert place.plan() == HALVES
    place.learn()
    place.give(*HALVES[::-1])
    for call in (place.plan, lambda: keeps_folds(place.workspace, PLAIN)):
        with pytest.raises(InputError, match="have different folds") as caught:
            call()
        assert str(place.root / "splits_final.json") in str(caught.value)
        assert str(place.workspace.splits) in str(caught.value)
        assert "Remove the first to keep them" in str(caught.value)
    (place.root / "splits_final.json").unlink()
    assert place.plan() == HALVES


def test_a_users_own_folds_in_the_workspace_are_never_replaced(place):
    place.cases = place.cases[:6]
    place.workspace.root.mkdir()
    write_splits(place.workspace.splits, HALVES)
    assert place.plan() == HALVES
    with pytest.raises(UsageError, match="--num-folds 3: .*has 2"):
        place.plan(replace(PLAIN, number=3))
    place.give(*HALVES[::-1])
    with pytest.raises(InputError, match="have different folds"):
        place.plan()
    # In another order they are the same.
    place.give(*(Fold(train=fold.train[::-1], val=fold.val[::-1]) for fold in HALVES))
    assert place.plan() == HALVES


def test_folds_that_a_user_edited_are_the_users(place):
    place.plan(replace(PLAIN, number=2))
    plain = json.loads(place.workspace.splits.read_text())
    plain[0]["train"].remove(plain[0]["train"][0])
    place.workspace.splits.write_text(json.dumps(plain))
    with pytest.raises(UsageError, match="--num-folds 3: .*has 2"):
        place.plan(replace(PLAIN, number=3))
    assert len(place.plan()[0].train) == 5


def test_given_folds_that_separate_a_patient_are_refused_where_groups_are_named(place):
    place.cases = place.cases[:4]
    place.give(
        Fold(train=("p0a", "p1a"), val=("p0b", "p1b")),
        Fold(train=("p0b", "p1b"), val=("p0a", "p1a")),
    )
    with pytest.raises(UsageError, match="fold 0 of .*trains and validates on cases of 'p0', 'p1'"):
        place.plan(PAIRS)
    assert len(place.plan()) == 2


def test_cases_that_given_folds_leave_out_are_named(place, caplog):
    place.cases = place.cases[:7]
    place.give(*HALVES)
    assert place.plan() == HALVES
    assert "1 case is in no fold: 'p3a'" in caplog.text


def test_faults_of_a_splits_file_are_listed_with_those_of_the_data_set(place):
    (place.root / "splits_final.json").write_text('[{"train": 5, "val": ["p0a"]}, 3]')
    faults = fold_faults(place.workspace, place.dataset, PLAIN)
    assert len(faults) == 2
    assert "fold 0 has 5 as train" in faults[0]


@pytest.mark.parametrize(
    ("num_cases", "request_", "message"),
    [
        (4, replace(PLAIN, number=5), "4 cases in 4 groups .* 5 folds. Add cases or use --num-fol"),
        (4, replace(PAIRS, number=3), "4 cases in 2 groups .* 3 folds. .*use --num-folds 2."),
        (1, replace(PLAIN, number=2), "1 case in 1 group .* 2 folds. .*leave --num-folds out"),
    ],
)
def test_more_folds_than_patients_are_refused_with_advice_that_works(
    tmp_path, num_cases, request_, message
):
    place = Planned(tmp_path, num_cases)
    with pytest.raises(InputError, match=message):
        place.plan(request_)
    assert place.plan(replace(request_, number=None)) is not None


def test_few_patients_make_few_folds(tmp_path, caplog):
    place = Planned(tmp_path, 4)
    assert len(place.plan()) == 4
    assert "4 cases in 4 groups make 4 folds instead of 5" in caplog.text
    assert len(place.plan(PAIRS)) == 2
    # That there were few is no wish: with more cases there are five.
    place.cases = [f"p{index}a" for index in range(9)]
    assert len(place.plan()) == 5


def test_one_case_makes_no_fold_and_is_trained_on_as_a_whole(tmp_path, caplog):
    place = Planned(tmp_path, 1)
    assert place.plan() == ()
    assert "nothing is left to validate" in caplog.text
    assert keeps_folds(place.workspace, PLAIN)
    assert planned.load_fold(place.workspace, place.dataset, "all").train == ("p0a",)
    with pytest.raises(UsageError, match="There is no fold 0: .*Train the fold 'all'"):
        planned.load_fold(place.workspace, place.dataset, 0)
    place.cases += ["p1a", "p2a"]
    assert len(place.plan()) == 3


@pytest.mark.parametrize("number", [-3, 0, 1])
def test_less_than_two_folds_are_no_wish(number):
    with pytest.raises(UsageError, match=f"--num-folds {number}: at least 2 are needed"):
        request_folds(PlanRequest(num_folds=number))


def test_groups_are_named_in_one_way(tmp_path):
    with pytest.raises(UsageError, match="--group-pattern and --groups both"):
        request_folds(PlanRequest(group_pattern="x", groups=str(tmp_path / "g.csv")))
    # What a recipe knows gives way to both.
    usual = Recipe(description="", source="", group_pattern="usual")

    def pattern(**options):
        return request_folds(with_recipe(PlanRequest(**options), usual)).pattern

    assert pattern() == "usual"
    assert pattern(groups=str(tmp_path / "g.csv")) is None
    assert pattern(group_pattern="mine") == "mine"
