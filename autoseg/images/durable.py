"""Makes a written file last, whatever happens to the machine after it got its name."""

from __future__ import annotations

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Waits until a file lies on the disk, not only in the system's memory.

    Raises:
        OSError: It cannot be written there, for want of space for example.
    """
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
