from __future__ import annotations

from dataclasses import fields

import pytest

from autoseg.schema import serialise
from autoseg.schema.plan_request import PlanOptions, PlanRequest, plan_request


def test_keyword_arguments_are_the_fields():
    assert set(PlanOptions.__annotations__) == {field.name for field in fields(PlanRequest)}


def test_lists_and_paths_become_plain_values(tmp_path):
    request = plan_request({"configurations": ["2d"], "groups": tmp_path / "groups.csv"})
    assert request == PlanRequest(configurations=("2d",), groups=str(tmp_path / "groups.csv"))


def test_an_unknown_option_is_an_error():
    with pytest.raises(TypeError, match="tim_budget"):
        plan_request({"tim_budget": "10m"})


def test_a_request_survives_a_file(tmp_path):
    request = PlanRequest(configurations=("2d", "3d_fullres"), memory="8GB", seed=3)
    serialise.save(request, tmp_path / "request.yaml")
    assert serialise.load(PlanRequest, tmp_path / "request.yaml") == request
