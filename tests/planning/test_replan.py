from __future__ import annotations

from dataclasses import replace

import pytest

from autoseg.errors import UsageError
from autoseg.planning.replan import begun_configurations, check_unchanged, override, time_budget_s
from autoseg.schema import serialise
from autoseg.schema.plan import Plan, PreviousStage
from autoseg.workspace import Workspace
from tests.conftest import make_configuration

NAMES = tuple(f"path_{index}" for index in range(9))
BUDGET_S = 37.0
FUSION_SHARE = 0.15


def timed(name, seconds, previous=None):
    configuration = make_configuration(name=name, previous=previous)
    training = replace(configuration.training, time_budget_s=seconds)
    return replace(configuration, training=training)


def multipath():
    """A network that shares its time with nine paths, as the planner deals it out."""
    shares = {name: BUDGET_S * (1 - FUSION_SHARE) / 9 for name in NAMES}
    stage = PreviousStage(names=NAMES, kind="probabilities")
    fusion = timed("multipath_2.5d", FUSION_SHARE * BUDGET_S, stage)
    return {
        fusion.name: fusion,
        **{name: timed(name, seconds) for name, seconds in shares.items()},
    }


def test_a_multipath_network_goes_on_with_the_time_budget_that_it_was_given(tmp_path):
    run = Workspace(tmp_path).run("multipath_2.5d", 0)
    for name, configuration in multipath().items():
        owner = run if name == "multipath_2.5d" else run.path(name)
        serialise.save(configuration, owner.configuration)
    begun = begun_configurations(run)
    assert begun == multipath()
    assert time_budget_s(begun, "multipath_2.5d") == pytest.approx(BUDGET_S)
    check_unchanged(begun, "multipath_2.5d", None, BUDGET_S)
    check_unchanged(begun, "multipath_2.5d", None, None)
    with pytest.raises(UsageError, match="--time-budget 5.55s: the training began with .* 37 s"):
        check_unchanged(begun, "multipath_2.5d", None, FUSION_SHARE * BUDGET_S)


def test_the_plans_own_time_budget_is_no_reason_to_plan_a_multipath_network_again(tmp_path):
    plan = Plan(
        dataset="d",
        planner="auto",
        file_ending=".nii.gz",
        configurations=multipath(),
        decisions=(),
    )
    options = {"epochs": None, "device": "cpu", "time_budget": f"{BUDGET_S}s"}
    # Planning again would look for the data set, which is not there.
    assert override(Workspace(tmp_path), plan, "multipath_2.5d", **options) == multipath()


@pytest.mark.parametrize(
    ("begun_s", "epochs", "time_s", "message"),
    [
        (None, None, 60.0, "--time-budget 60s: the training began with 3 epochs"),
        (60.0, 3, None, "--epochs 3: the training began with a time budget of 60 s"),
        (None, 4, None, "--epochs 4: the training began with 3 epochs"),
        (60.0, None, 61.0, "--time-budget 61s: the training began with a time budget of 60 s"),
    ],
)
def test_another_schedule_than_a_training_began_with_is_refused(begun_s, epochs, time_s, message):
    begun = {"3d_fullres": timed("3d_fullres", begun_s)}
    with pytest.raises(UsageError, match=message) as caught:
        check_unchanged(begun, "3d_fullres", epochs, time_s)
    assert "--overwrite" in str(caught.value)
    check_unchanged(begun, "3d_fullres", 3 if begun_s is None else None, begun_s)
