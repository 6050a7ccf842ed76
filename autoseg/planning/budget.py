"""The budget of a plan: device, memory and time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autoseg.errors import UsageError
from autoseg.schema.plan import Configuration

_UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
CPU_SHARE = 0.6
"""Share of a machine's free memory that training may plan with."""
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What is there.

    Attributes:
        device: cpu, cuda or mps.
        memory_bytes: Memory of a training step.
        time_s: Seconds for one training, or None for nnU-Net's schedule.
        step_s: Measures the seconds of a configuration's training step on the device; needed
            where `time_s` is given.
        footprint: Estimates the bytes of a configuration's training process; a rule of thumb for
            convolutional networks is used where it is None.
    """

    device: str
    memory_bytes: int
    time_s: float | None
    step_s: Callable[[Configuration], float] | None = None
    footprint: Callable[[Configuration], int] | None = None


def parse_memory(text: str) -> int:
    """Bytes from text such as 8GB, 500MB or 12.

    A bare number counts GB.

    Raises:
        UsageError: The text is no amount of memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B)?\s*", text, re.IGNORECASE)
    if match is None or float(match[1]) == 0:
        raise UsageError(f"'{text}' is no amount of memory. Write for example 8GB or 500MB.")
    unit = match[2].upper() + "B" if match[2] else ("B" if match[3] else "GB")
    return int(float(match[1]) * _UNITS[unit])


def parse_duration(text: str) -> float:
    """Seconds from text such as 10m, 1h30m, 45s or 90 (seconds).

    Raises:
        UsageError: The text is no duration.
    """
    compact = text.strip().lower().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        seconds = float(compact)
    elif re.fullmatch(r"(\d+(\.\d+)?[smhd])+", compact):
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", compact)
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    else:
        raise UsageError(f"'{text}' is no duration. Write for example 10m, 1h30m or 45s.")
    if seconds <= 0:
        raise UsageError(f"'{text}' is no duration above zero.")
    return seconds


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


def make_budget(
    device: str = "auto",
    memory: str | None = None,
    time: str | None = None,
    *,
    step_s: Callable[[Configuration], float] | None = None,
) -> Budget:
    """Reads the budget from the command line's words; what is not said is measured.

    Raises:
        UsageError: A word is not understood.
    """
    found = find_device(device)
    return Budget(
        device=found,
        memory_bytes=parse_memory(memory) if memory else free_memory_bytes(found),
        time_s=parse_duration(time) if time else None,
        step_s=step_s,
    )


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
