"""What every command does with its user's faults, terminals and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from autoseg.cli import shell
from autoseg.errors import InputError


def test_full_and_read_only_disks_are_one_line(capsys):
    def action():
        raise OSError(28, "No space left on device", "labels.nii.gz")

    assert shell.execute(action) == 1
    assert capsys.readouterr().err == "error: labels.nii.gz: No space left on device.\n"


def test_names_cannot_forge_lines_or_drive_the_terminal(capsys):
    def action():
        raise InputError("case 'a\x1b[2Jb\x07': is damaged.")

    assert shell.execute(action) == 1
    assert capsys.readouterr().err == "error: case 'a\\x1b[2Jb\\x07': is damaged.\n"


@pytest.mark.parametrize(
    ("goes_on", "expected"),
    [("", "interrupted\n"), (shell.SAME, "interrupted; the same command goes on\n")],
)
def test_ctrl_c_advises_only_what_the_command_has(capsys, goes_on, expected):
    def action():
        raise KeyboardInterrupt

    assert shell.execute(action, goes_on=goes_on) == shell.INTERRUPTED
    assert capsys.readouterr().err == expected


def test_sigterm_cleans_up_as_ctrl_c_does(capsys):
    cleaned = []

    def action():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append(True)

    assert shell.execute(action) == shell.TERMINATED
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


SHOW = (
    "from autoseg.cli import shell\nimport sys\n"
    "sys.exit(shell.execute(lambda: shell.show({lines})))"
)


def test_any_terminal_can_show_everything():
    code = SHOW.format(lines=ascii(["1.5 × 1 mm – ✓"]))
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(rb"1.5 \xd7 1 mm")


def test_a_reader_that_leaves_is_no_error():
    code = SHOW.format(lines="['x' * 1000] * 1000")
    done = subprocess.run(
        f'{sys.executable} -c "{code}" | head -n 1', shell=True, capture_output=True, check=True
    )
    assert done.stderr == b""


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_error(closed):
    code = SHOW.format(lines=["x"])
    assert (
        subprocess.run(f'{sys.executable} -c "{code}" {closed}', shell=True, check=False).returncode
        == 0
    )
