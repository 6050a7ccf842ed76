from __future__ import annotations

import pytest

from autoseg.costs.machine import find_device
from autoseg.errors import UsageError
from autoseg.planning.budget import make_budget, parse_duration, parse_memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8GB", 8 * 2**30),
        ("8", 8 * 2**30),
        ("500MB", 500 * 2**20),
        ("1.5 GiB", 1.5 * 2**30),
        ("2g", 2**31),
    ],
)
def test_memory_is_read(text, expected):
    assert parse_memory(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10m", 600), ("1h30m", 5400), ("45s", 45), ("90", 90), ("0.5h", 1800), ("1d", 86400)],
)
def test_durations_are_read(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "ten", "10x", "-5m", "0s", "5m3"])
def test_what_is_no_duration_is_an_error(text):
    with pytest.raises(UsageError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "lots", "8XB", "-1GB", "0GB"])
def test_what_is_no_memory_is_an_error(text):
    with pytest.raises(UsageError, match="no amount of memory"):
        parse_memory(text)


def test_a_device_that_is_not_there_is_an_error():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="There is no cuda device here"):
        find_device("cuda")
    with pytest.raises(UsageError, match="Unknown device"):
        find_device("tpu")
    assert find_device("cpu") == "cpu"


def test_what_is_not_said_is_measured():
    budget = make_budget("cpu")
    assert budget.memory_bytes > 2**28
    assert budget.time_s is None
