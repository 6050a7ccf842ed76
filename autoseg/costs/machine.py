"""Devices of this machine and the memory that is free on them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autoseg.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")
UNKNOWN_MEMORY_BYTES = 8 * 2**30
"""What is taken for free where the system does not say."""
PROCESS_BYTES = {"cpu": 470 * 2**20, "cuda": 600 * 2**20, "mps": 600 * 2**20}
"""The interpreter with torch, our libraries and batches; on a GPU its context and scratch."""
_ROOT = Path("/")


def find_device(name: str) -> str:
    """The device to use; `auto` takes a GPU where there is one.

    Raises:
        UsageError: The device is not there.
    """
    if name not in DEVICES:
        raise UsageError(f"Unknown device '{name}'. Known: {', '.join(DEVICES)}.")
    if name == "cpu" or (name == "auto" and not _may_have_gpu()):
        return "cpu"
    import torch

    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next((device for device, there in has.items() if there), "cpu")
    if not has[name]:
        raise UsageError(f"There is no {name} device here. Use --device cpu or --device auto.")
    return name


def free_memory_bytes(device: str = "cpu", *, root: Path = _ROOT) -> int:
    """Memory that is free on a device now.

    Of the machine's memory a process gets no more than its control groups (containers, batch
    systems) have left, whose caches of files count as free, as the machine's do.

    Args:
        device: cpu, cuda (which may be followed by its number) or mps.
        root: Folder of the system's files.
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    return max(0, min((_machine_free_bytes(root), *_group_free_bytes(root))))


def _machine_free_bytes(root: Path) -> int:
    match = re.search(r"MemAvailable:\s+(\d+) kB", _read(root / "proc/meminfo"))
    if match:
        return int(match[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return UNKNOWN_MEMORY_BYTES


@dataclass(frozen=True, kw_only=True)
class _Controller:
    """Where a version of Linux's control groups says what memory they have.

    Attributes:
        folder: Of the root group.
        limits: Files of limits.
        usage: File of what is used.
        cache: Key in `memory.stat` of the cached files that are given up first.
    """

    folder: str
    limits: tuple[str, ...]
    usage: str
    cache: str


_V1 = _Controller(
    folder="sys/fs/cgroup/memory",
    limits=("memory.limit_in_bytes",),
    usage="memory.usage_in_bytes",
    cache="total_inactive_file",
)
_V2 = _Controller(
    folder="sys/fs/cgroup",
    limits=("memory.max", "memory.high"),
    usage="memory.current",
    cache="inactive_file",
)


def _group_free_bytes(root: Path) -> Iterator[int]:
    """What each control group that holds this process has left, where it has a limit."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            controller = _V2
        elif "memory" in controllers.split(","):
            controller = _V1
        else:
            continue
        # In a container the path is the host's: what of it is not there is skipped.
        own = PurePosixPath(path.lstrip("/"))
        for part in (own, *own.parents):
            yield from _left_in_group(root / controller.folder / part, controller)


def _left_in_group(folder: Path, controller: _Controller) -> Iterator[int]:
    limits = [text for name in controller.limits if (text := _read(folder / name)).isdigit()]
    usage = _read(folder / controller.usage)
    if not limits or not usage.isdigit():
        return
    match = re.search(rf"^{controller.cache} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
    yield min(map(int, limits)) - int(usage) + (int(match[1]) if match else 0)


def _read(path: Path) -> str:
    """The text of a file of the system, empty where there is none."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _may_have_gpu() -> bool:
    """A cheap look that spares the import of torch on machines without a GPU."""
    return (
        os.path.exists("/dev/nvidiactl")
        or os.path.exists("/dev/kfd")
        or os.path.exists("/dev/dxg")
        or os.name == "nt"
        or os.uname().sysname == "Darwin"
    )
