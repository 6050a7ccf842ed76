from __future__ import annotations

import os
import signal

import pytest

from autoseg.errors import AutosegError, UnknownNameError
from autoseg.parallel import map_unordered
from autoseg.registry import Registry


def square(number: int) -> int:
    return number * number


def fail(number: int) -> int:
    raise ValueError(f"no {number}")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_has_its_result(workers):
    found = dict(map_unordered(square, range(20), workers=workers, description="Squaring"))
    assert found == {number: number**2 for number in range(20)}


def test_an_error_of_a_worker_arrives():
    with pytest.raises(ValueError, match="no "):
        list(map_unordered(fail, range(8), workers=2, description="Failing"))


def test_a_killed_worker_names_the_likely_cause():
    with pytest.raises(AutosegError, match="killed, most likely for lack of memory.*--workers 1"):
        list(map_unordered(die, range(8), workers=2, description="Dying"))


def test_the_environment_is_as_it_was():
    before = dict(os.environ)
    list(map_unordered(square, range(8), workers=2, description="Squaring"))
    assert dict(os.environ) == before


def test_a_registry_names_what_it_knows():
    table = Registry("fruit", {"apple": 1})
    assert table["apple"] == 1
    assert "pear" not in table
    assert list(table) == ["apple"]
    with pytest.raises(UnknownNameError, match="Unknown fruit 'pear'. Known: apple"):
        table["pear"]
