"""How a network runs on a device: number format, memory layout, compiled or not.

What is fastest is measured once per machine and network, and remembered in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from autoseg.schema import serialise
from autoseg.schema.plan import Configuration
from autoseg.schema.serialise import to_plain, write_text

logger = logging.getLogger(__name__)

Format = Literal["float32", "bfloat16", "float16"]
Choice = Literal["auto", "float32", "mixed", "fastest"]
WORTH = 1.1
"""How many times faster than the usual way another one must be to be taken."""
REPEATS = 2
MAX_VOXELS = 64**3
"""Voxels of the tile that is timed; larger ones are halved until they fit."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """A way to run a network.

    Attributes:
        format: Numbers of convolutions; sums are always in float32.
        channels_last: Layout of feature maps.
        compiled: By `torch.compile`.
    """

    format: Format = "float32"
    channels_last: bool = False
    compiled: bool = False

    def layout(self, dimensions: int) -> torch.memory_format:
        """Memory format of tensors with so many spatial axes."""
        if not self.channels_last:
            return torch.contiguous_format
        return torch.channels_last_3d if dimensions == 3 else torch.channels_last

    def prepare(self, module: nn.Module, device: torch.device, dimensions: int) -> nn.Module:
        """The module on the device, in this layout."""
        moved: nn.Module = module.to(device, memory_format=self.layout(dimensions))  # type: ignore[call-overload]
        if self.compiled:
            moved = torch.compile(moved)  # type: ignore[assignment]
        return moved

    def run(self, module: nn.Module, tiles: Tensor) -> Tensor:
        """The module's finest result for [b, c, *space]."""
        dtype = torch.float16 if self.format == "float16" else torch.bfloat16
        layout = self.layout(tiles.dim() - 2)
        with torch.autocast(tiles.device.type, dtype=dtype, enabled=self.format != "float32"):
            result: Tensor = module(tiles.contiguous(memory_format=layout))[0]
        return result


def usual(device: torch.device, choice: Choice = "auto") -> Execution:
    """What is taken without measuring: float32 on CPUs, half precision on GPUs."""
    on_cpu = device.type == "cpu"
    if choice == "float32" or (choice == "auto" and on_cpu):
        return Execution(channels_last=on_cpu)
    if on_cpu:
        return Execution(format="bfloat16", channels_last=True)
    half: Format = "bfloat16"
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
        half = "float16"
    return Execution(format=half)


def candidates(device: torch.device) -> list[Execution]:
    """All ways that are timed."""
    formats: tuple[Format, ...] = ("float32", "bfloat16")
    if device.type != "cpu":
        formats = ("float32", "bfloat16", "float16")
    return [
        Execution(format=item, channels_last=last, compiled=compiled)
        for compiled in (False, True)
        for item in formats
        for last in (False, True)
    ]


def choose(
    build: Callable[[], nn.Module],
    configuration: Configuration,
    device: torch.device,
    choice: Choice,
    cache: Path | None = None,
) -> Execution:
    """How to run a network.

    Args:
        build: Builds the network; called for every way that is timed.
        configuration: Its configuration.
        device: Where it runs.
        choice: "auto" for `usual`; "float32" or "mixed" for that format; "fastest" for what is
            fastest of all, measured at the first time and remembered.
        cache: Folder of what is remembered; the user's cache by default.
    """
    plain = usual(device, choice)
    if choice != "fastest":
        return plain
    path = (cache or default_cache()) / f"{_key(configuration, device)}.json"
    if path.is_file():
        try:
            known: Execution = serialise.from_plain(
                Execution, json.loads(path.read_text())["fastest"], str(path)
            )
        except (ValueError, KeyError, OSError):
            logger.warning("%s: damaged; it is measured again.", path)
        else:
            return known
    plain = usual(device)
    seconds = measure(build, configuration, device, candidates(device))
    best = min(seconds, key=lambda item: seconds[item])
    if best != plain and seconds[best] * WORTH > seconds.get(plain, float("inf")):
        best = plain
    record = {
        "fastest": to_plain(best),
        "seconds": [{**asdict(item), "seconds": spent} for item, spent in seconds.items()],
    }
    write_text(path, json.dumps(record, indent=2))
    logger.info("Fastest way to run %s: %s (%s).", configuration.name, best, path)
    return best


def measure(
    build: Callable[[], nn.Module],
    configuration: Configuration,
    device: torch.device,
    ways: Sequence[Execution],
) -> dict[Execution, float]:
    """Seconds for a tile; ways that do not work here are left out."""
    tile = _timed_tile(configuration)
    image = torch.randn(1, configuration.in_channels, *tile, device=device)
    seconds: dict[Execution, float] = {}
    for way in ways:
        try:
            module = way.prepare(build(), device, configuration.dimensions)
            with torch.inference_mode():
                way.run(module, image)
                started = time.perf_counter()
                for _ in range(REPEATS):
                    result = way.run(module, image)
                float(result.flatten()[0])  # waits for a GPU
            seconds[way] = (time.perf_counter() - started) / REPEATS
        except Exception as error:  # noqa: BLE001, compilers fail in many ways
            logger.info("%s does not work here: %s", way, str(error).splitlines()[:1])
    return seconds


def default_cache() -> Path:
    """Where measurements are remembered."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "autoseg" / "speed"


def _timed_tile(configuration: Configuration) -> tuple[int, ...]:
    """The tile, halved along its longest axes while that is large and the strides allow it."""
    totals = [1] * configuration.dimensions
    for stride in configuration.network.strides:
        totals = [have * step for have, step in zip(totals, stride, strict=True)]
    tile = list(configuration.patch_size)
    while torch.Size(tile).numel() > MAX_VOXELS:
        axis = max(range(len(tile)), key=lambda item: tile[item])
        half = tile[axis] // 2
        if half % totals[axis] or half < 2 * totals[axis]:
            break
        tile[axis] = half
    return tuple(tile)


def _key(configuration: Configuration, device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    parts = [
        name,
        device.type,
        str(torch.get_num_threads()),
        torch.__version__,
        json.dumps(to_plain(configuration.network)),
        str((configuration.patch_size, configuration.in_channels)),
    ]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:24]
