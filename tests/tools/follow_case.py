"""Follows a case through plan, train and predict, and counts returns to files left before.

python -m tests.tools.follow_case WORK

Every function of autoseg is noted when it is first called. Where the next first call lies in
another file, that one is entered; a file that was entered before is returned to. Fewer returns mean
that a reader turns fewer pages back.
"""

from __future__ import annotations

import sys
import threading
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import FrameType
from typing import Any

import autoseg
from dataset_conversion.synthetic import write_synthetic

ROOT = str(Path(autoseg.__file__).parent)


class Trail:
    """Files in the order in which their functions are first called."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self._seen: set[tuple[str, int]] = set()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Notes a call."""
        code = frame.f_code
        name = code.co_filename
        is_function = code.co_flags & CO_OPTIMIZED  # bodies of modules and classes are none
        if event != "call" or not name.startswith(ROOT) or not is_function:
            return
        key = (name, code.co_firstlineno)
        if key in self._seen:
            return
        self._seen.add(key)
        if not self.files or self.files[-1] != name:
            self.files.append(name)

    @property
    def returns(self) -> int:
        """How often a file was entered that had been left."""
        return len(self.files) - len(set(self.files))


def follow(action: Any) -> Trail:
    """Runs an action and returns its trail, threads included."""
    trail = Trail()
    threading.setprofile(trail)
    sys.setprofile(trail)
    try:
        action()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return trail


def main(folder: Path) -> None:
    """Prints a row per verb."""
    from autoseg import pipeline

    data, workspace = folder / "Dataset900_Demo", folder / "work"
    if not data.exists():
        write_synthetic(data, num_cases=6)
    actions = {
        "plan": lambda: pipeline.plan(
            data, workspace, configurations=("3d_fullres",), time_budget="5s", workers=1
        ),
        "train": lambda: pipeline.train(workspace, "3d_fullres", 0, epochs=1, overwrite=True),
        "predict": lambda: pipeline.predict(
            [workspace], data / "imagesTr", folder / "out", workers=1, overwrite=True
        ),
    }
    for name, action in actions.items():
        trail = follow(action)
        files = [str(Path(path).relative_to(ROOT)) for path in trail.files]
        print(f"{name}: {len(set(files))} files, {trail.returns} returns")
        print("  " + " → ".join(files))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
