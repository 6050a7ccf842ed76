"""The budget of a plan: device, memory and time."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Protocol

from autoseg.costs.machine import find_device, free_memory_bytes
from autoseg.errors import UsageError
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration

_UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
TRAINING_SHARE = {"cpu": 0.6, "mps": 0.6}
"""Share of the free memory that a training may plan with, where other programs share it."""


class Costs(Protocol):
    """What configurations cost on a machine."""

    def step_s(self, configuration: Configuration) -> float:
        """Seconds of a training step."""

    def memory_bytes(self, configuration: Configuration) -> int:
        """Memory of the process that trains it: its own, or the GPU's."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What is there.

    Attributes:
        device: cpu, cuda or mps.
        memory_bytes: Memory of a training.
        time_s: Seconds for one training, or None for nnU-Net's schedule.
        costs: What configurations cost; needed where `time_s` is given. Without it memory is kept
            by nnU-Net's estimates only.
    """

    device: str
    memory_bytes: int
    time_s: float | None
    costs: Costs | None = None


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


def make_budget(device: str = "auto", memory: str | None = None, time: str | None = None) -> Budget:
    """Reads the budget from the command line's words; what is not said is measured.

    Raises:
        UsageError: A word is not understood.
    """
    found = find_device(device)
    return Budget(
        device=found,
        memory_bytes=parse_memory(memory) if memory else _usable_bytes(found),
        time_s=parse_duration(time) if time else None,
    )


def _usable_bytes(device: str) -> int:
    return int(TRAINING_SHARE.get(device, 1.0) * free_memory_bytes(device))


def measuring_budget(
    device: str,
    memory: str | None,
    time_budget: str | None,
    dataset: Dataset,
    fingerprint: Fingerprint,
) -> Budget:
    """The budget, with the means to find out what a configuration costs."""
    from autoseg.planning.measured_costs import MeasuredCosts

    budget = make_budget(device, memory, time_budget)
    return replace(budget, costs=MeasuredCosts(budget.device, dataset, fingerprint))
