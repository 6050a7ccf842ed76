from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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


WORK = """
import sys, time
from autoseg.parallel import map_unordered

def slow(number):
    print("working", flush=True)
    time.sleep(60)

if __name__ == "__main__":
    list(map_unordered(slow, range(8), workers=2, description="Slow"))
"""


def descendants(pid: int) -> set[int]:
    """Processes below one, as /proc has them."""
    found = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found |= {int(child)} | descendants(int(child))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_process_that_wanted_them(tmp_path, end):
    (tmp_path / "work.py").write_text(WORK)
    main = subprocess.Popen([sys.executable, tmp_path / "work.py"], stdout=subprocess.PIPE)
    assert main.stdout.readline() == b"working\n"
    workers = descendants(main.pid)
    assert len(workers) >= 3  # fork server, two workers
    main.send_signal(end)
    main.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in workers):
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


@pytest.mark.skipif(sys.platform != "linux", reason="names modules of the fork server")
def test_no_process_imports_from_the_working_directory(tmp_path):
    for name in ("selectors", "signal", "socket", "numpy", "multiprocessing", "autoseg"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "work.py"
    script.write_text(WORK.replace("time.sleep(60)", "pass"))
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True, capture_output=True)
    assert not (tmp_path / "ran").exists()


def test_a_registry_names_what_it_knows():
    table = Registry("fruit", {"apple": 1})
    assert table["apple"] == 1
    assert "pear" not in table
    assert list(table) == ["apple"]
    with pytest.raises(UnknownNameError, match="Unknown fruit 'pear'. Known: apple"):
        table["pear"]
