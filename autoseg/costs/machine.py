"""Devices of this machine and the memory that is free on them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from autoseg.errors import UsageError

CPU_SHARE = 0.6
"""Share of a machine's free memory that training may plan with."""


DEVICES = ("auto", "cpu", "cuda", "mps")


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


def free_memory_bytes(device: str) -> int:
    """Memory that a training may use on this machine now."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[1])
    return int(CPU_SHARE * _available_memory())


def _available_memory() -> int:
    information = Path("/proc/meminfo")
    available = 8 * 2**30
    if information.exists():
        match = re.search(r"MemAvailable:\s+(\d+) kB", information.read_text())
        if match:
            available = int(match[1]) * 1024
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in (Path("/sys/fs/cgroup/memory.max"),):
        if limit.exists() and (text := limit.read_text().strip()).isdigit():
            available = min(available, int(text))
    return available


def _may_have_gpu() -> bool:
    """A cheap look that spares the import of torch on machines without a GPU."""
    return (
        os.path.exists("/dev/nvidiactl")
        or os.path.exists("/dev/kfd")
        or os.path.exists("/dev/dxg")
        or os.name == "nt"
        or os.uname().sysname == "Darwin"
    )
