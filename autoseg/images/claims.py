"""What a file claims to hold, checked before anything is unpacked."""

from __future__ import annotations

import os
from pathlib import Path

from autoseg.errors import ImageError

ALWAYS_ALLOWED_BYTES = 2**30
MOST_TIMES_IMAGE = 200
MOST_TIMES_LABELS = 1000
"""Deflate packs zeros 1032 times; an image with noise never 200 times, a label map well may."""
COPIES = 2
"""While an image is read, its voxels are in memory twice: the library's and ours."""
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def check_claim(
    path: Path, claimed_bytes: int, stored_bytes: int, *, is_label_map: bool = False
) -> None:
    """Refuses a file whose header claims more than its size or this machine can hold.

    A file may unpack to 1 GiB whatever its own size is, to more only up to 200 times its size (a
    label map 1000 times), and never to more than half of the machine's memory.

    Args:
        path: The file.
        claimed_bytes: Bytes of all voxels, by the header.
        stored_bytes: Size of the file.
        is_label_map: Labels are packed better than images.

    Raises:
        ImageError: The claim is too large.
    """
    claimed = f"{claimed_bytes / 1e9:.1f} GB"
    most_times = MOST_TIMES_LABELS if is_label_map else MOST_TIMES_IMAGE
    if claimed_bytes > max(ALWAYS_ALLOWED_BYTES, most_times * stored_bytes):
        raise ImageError(
            f"{path}: {stored_bytes} bytes claim to hold {claimed} of voxels, more than "
            f"{most_times} times as much. If that is right, save it uncompressed."
        )
    memory = memory_bytes()
    if memory is not None and COPIES * claimed_bytes > memory:
        raise ImageError(
            f"{path}: holds {claimed} of voxels; reading it takes {COPIES} times as much, this "
            f"machine has {memory / 1e9:.1f} GB. Cut the image into parts or use another machine."
        )


def memory_bytes() -> int | None:
    """Memory of this machine, or of the container; None where the system does not tell."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in _CGROUP_LIMITS:
        if limit.exists() and (text := limit.read_text().strip()).isdigit():
            memory = min(memory, int(text))
    return memory
