"""Writes the files of an evaluation: all of them, or so that half work is known as such.

They are made in a folder of their own inside the target and then renamed, the one that says that
all is finished last. That folder stays where a program is killed between two of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from evaluation.errors import EvaluationError

LAST = "summary.json"
FILES = ("cases.csv", "summary.md", "reliability.csv", "reliability.png", LAST)
"""In the order in which they appear."""
PARTIAL = ".partial-"


def check_output(folder: Path, *, overwrite: bool, request: str = "") -> bool:
    """Whether a folder holds the finished results of a request already.

    Args:
        folder: Folder for the results.
        overwrite: Whether others may be replaced.
        request: What is asked for, see `describe_request`; "" is no request.

    Raises:
        EvaluationError: It is a file, or holds results of another request.
    """
    if (folder.exists() and not folder.is_dir()) or folder.suffix in (".json", ".csv", ".md"):
        raise EvaluationError(f"{folder}: is the name of a file; give a folder for the results.")
    found = next((folder / name for name in reversed(FILES) if (folder / name).exists()), None)
    if found is None or overwrite:
        return False
    if found.name == LAST and request and _request_of(found) == request:
        with contextlib.suppress(EvaluationError, OSError), _locked(folder):
            _remove_partial(folder)
        return True
    if found.name != LAST and next(folder.glob(f"{PARTIAL}*"), None) is not None:
        return False  # half of the work of a program that was killed
    raise EvaluationError(
        f"{found}: exists already, of other files or options. Give another folder, or --overwrite."
    )


def _request_of(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("request", ""))
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""


@contextmanager
def replaced_files(folder: Path) -> Iterator[Path]:
    """A folder to write into, whose files take their places when the block succeeds.

    Raises:
        EvaluationError: Another program is writing there, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            own = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=folder))
            try:
                yield own
                _rename([own / name for name in FILES if (own / name).exists()], folder)
            finally:
                _remove_partial(folder)
    except OSError as error:
        raise EvaluationError(
            f"{error.filename or folder}: cannot be written ({error.strerror or error})."
        ) from None


def _remove_partial(folder: Path) -> None:
    """Removes what this and killed programs left; the folder is locked."""
    for partial in folder.glob(f"{PARTIAL}*"):
        shutil.rmtree(partial, ignore_errors=True)


def _rename(made: Sequence[Path], folder: Path) -> None:
    for path in made:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    # From here on the old files are no whole evaluation any more, and then none at all.
    for name in reversed(FILES):
        if name == LAST or not any(path.name == name for path in made):
            (folder / name).unlink(missing_ok=True)
    for path in made:
        os.replace(path, folder / path.name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other programs from writing into a folder; a killed one leaves no lock behind."""
    try:
        import fcntl
    except ImportError:  # systems without it have no such lock
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # of file systems without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EvaluationError(
                    f"{folder}: another evaluation is being written there."
                ) from None
        yield
    finally:
        os.close(handle)
