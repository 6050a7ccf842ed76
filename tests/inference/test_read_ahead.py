"""How many cases are read before their turn."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import pytest

from autoseg.errors import ImageError
from autoseg.inference.read_ahead import read_ahead


@dataclass
class Loaded:
    peak_bytes: int


class Loader:
    """Loads cases that take ten times the size of their file, and counts those under way."""

    def __init__(self, broken=()):
        self.lock = threading.Lock()
        self.loaded = []
        self.broken = broken

    def __call__(self, files):
        with self.lock:
            self.loaded.append(files[0].name)
        if files[0].name in self.broken:
            raise ImageError("broken")
        return Loaded(peak_bytes=10 * files[0].stat().st_size)


def write(folder, sizes):
    """Cases with files of so many bytes."""
    cases = {}
    for index, size in enumerate(sizes):
        path = folder / f"c{index}"
        path.write_bytes(b"x" * size)
        cases[path.name] = (path,)
    return cases


def waiting_at_each_turn(cases, load, expected, **options):
    """How many cases were loaded while each one was in use; waits until as many are as expected."""
    found, order = [], []
    for turn, (name, future) in enumerate(read_ahead(load, cases, **options)):
        order.append(name)
        future.exception()
        deadline = time.monotonic() + 10
        wanted = min(expected, len(cases) - turn - 1)
        while len(load.loaded) - turn - 1 < wanted and time.monotonic() < deadline:
            time.sleep(0.001)
        found.append(len(load.loaded) - turn - 1)
    assert order == list(cases)
    assert sorted(load.loaded) == sorted(cases)
    return found


@pytest.mark.parametrize(("memory", "ahead"), [(0, 0), (99, 0), (100, 1), (350, 3), (10**6, 5)])
def test_as_many_cases_wait_as_memory_and_workers_allow(tmp_path, memory, ahead):
    cases = write(tmp_path, [10] * 12)
    found = waiting_at_each_turn(cases, Loader(), ahead, workers=5, memory_bytes=memory)
    assert found == [min(ahead, 11 - turn) for turn in range(12)]


def test_large_files_wait_for_their_turn(tmp_path):
    cases = write(tmp_path, [10, 10, 5000, 10])
    stream = read_ahead(loader := Loader(), cases, workers=4, memory_bytes=1000)
    for _ in range(2):
        next(stream)[1].result()
    assert "c2" not in loader.loaded
    assert next(stream)[0] == "c2"


def test_a_case_that_cannot_be_read_says_so_at_its_turn(tmp_path):
    cases = write(tmp_path, [10] * 4)
    cases["gone"] = (tmp_path / "gone",)
    errors = {}
    loader = Loader(broken=("c0", "c2"))
    for name, future in read_ahead(loader, cases, workers=2, memory_bytes=10**6):
        errors[name] = future.exception()
    assert [name for name, error in errors.items() if isinstance(error, ImageError)] == ["c0", "c2"]
    assert isinstance(errors["gone"], FileNotFoundError)
    assert errors["c3"] is None
