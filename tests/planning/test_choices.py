from __future__ import annotations

import pytest

from autoseg import pipeline
from autoseg.cli import plan as command
from autoseg.planning.choices import with_recipe
from autoseg.schema.plan_request import PlanRequest
from autoseg.schema.recipe import Recipe
from tests.conftest import write_dataset


def test_parts_of_the_training_are_chosen_by_name(tmp_path):
    data = write_dataset(tmp_path / "Dataset001_Tiny")
    plan = pipeline.plan(
        data,
        tmp_path / "work",
        configurations=["2d"],
        augmentation="none",
        schedule="cosine",
        memory="800MB",
        preprocess=False,
    )
    training = plan.configurations["2d"].training
    assert (training.augmentation, training.schedule) == ("none", "cosine")
    assert "augmentation" in {decision.topic for decision in plan.decisions}
    assert plan.request.schedule == "cosine"


def test_what_was_asked_for_is_the_only_decision_about_it(tmp_path):
    data = write_dataset(tmp_path / "Dataset001_Tiny")

    def planned(**options) -> tuple[str, str]:
        plan = pipeline.plan(
            data,
            tmp_path / "work",
            configurations=["2d"],
            planner="nnunet",
            preprocess=False,
            **options,
        )
        found = [
            (item.value, item.reason) for item in plan.decisions if item.topic == "augmentation"
        ]
        ((value, reason),) = found
        assert plan.configurations["2d"].training.augmentation == value
        return value, reason

    assert planned()[0] == "nnunet"
    assert planned(augmentation="standard") == ("standard", "asked for")


@pytest.mark.parametrize("part", ["loss", "augmentation", "schedule"])
def test_unknown_parts_are_refused_before_the_data_are_read(tmp_path, capsys, part):
    code = command.main(
        [str(tmp_path / "no_data"), "--workspace", str(tmp_path / "w"), f"--{part}", "x"]
    )
    assert code == 2
    assert f"{part} 'x'" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_the_users_words_go_before_the_recipes():
    recipe = Recipe(description="", source="", network="L", loss="a", schedule="b")
    request = with_recipe(PlanRequest(network="M", schedule="c"), recipe)
    assert (request.network, request.loss, request.schedule) == ("M", "a", "c")
