"""How much memory prediction takes, and how much is left for the sums of tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from autoseg.architectures import HasHead, build_network
from autoseg.costs.machine import PROCESS_BYTES, free_memory_bytes
from autoseg.costs.tracing import LiveBytes
from autoseg.errors import ImageError, InputError
from autoseg.precision import memory_format
from autoseg.schema.geometry import Geometry
from autoseg.schema.plan import Configuration

FREE_SHARE = 0.8
"""Share of the free memory that is taken where nobody says how much."""
SCRATCH = 1.1
"""What kernels take beyond the tensors of a forward pass (measured)."""
ELSE_BYTES = 150 * 2**20
"""What restoring, writing and the C library's pools take (measured)."""
COPIES = 3
"""Copies of an image, in float32, that reading and preprocessing hold at a time (measured)."""


@lru_cache(maxsize=32)
def forward_bytes(configuration: Configuration, batch: int, *, headless: bool) -> int:
    """Bytes that a pass through the network takes beside its parameters.

    Args:
        configuration: The network's.
        batch: Tiles at a time.
        headless: Its last layer was taken away, see `HasHead`.
    """
    layout = memory_format(torch.device("cpu"), configuration.dimensions)
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        LiveBytes() as live,
        torch.inference_mode(),
    ):
        network = build_network(
            configuration.network, configuration.in_channels, configuration.labels.num_outputs
        ).eval()
        if headless:
            assert isinstance(network, HasHead)
            network.detach_head()
        parameters = sum(item.numel() * item.element_size() for item in network.parameters())
        image = torch.empty(batch, configuration.in_channels, *configuration.patch_size)
        result = network(image.contiguous(memory_format=layout))[0]
        total = result + result  # the sum over mirrored tiles, or the weighted tile
        del total
    return int((live.peak - parameters) * SCRATCH)


def left_for_sums(device: torch.device, memory_bytes: int | None, forward: int) -> int:
    """Bytes that the sums of tiles may take.

    Args:
        device: Where they are.
        memory_bytes: What the process may take; None: most of what is free.
        forward: What a pass through the network takes.
    """
    free = int(free_memory_bytes(str(device)) * FREE_SHARE)
    if device.type == "cuda":
        return (free if memory_bytes is None else min(free, memory_bytes)) - forward
    if memory_bytes is None:
        return free - forward
    return memory_bytes - _resident_bytes() - forward - ELSE_BYTES


def check_model(device: torch.device, memory_bytes: int | None, forward: int) -> None:
    """Refuses a model that does not fit the memory, whatever the images, before one is read.

    Args:
        device: Where it predicts.
        memory_bytes: What the process may take, or None.
        forward: What a pass through the network takes.

    Raises:
        InputError: It does not.
    """
    if memory_bytes is None:
        return
    left = left_for_sums(device, memory_bytes, forward)
    if left <= 0:
        raise InputError(
            f"This model needs more than {(memory_bytes - left) / 2**30:.1f} GB to predict, "
            f"--memory allows {memory_bytes / 2**30:.1f} GB. Give more."
        )


def preprocessing_bytes(shape: Sequence[int], channels: int) -> int:
    """Memory that reading and preprocessing an image takes while it lasts.

    Args:
        shape: Voxels (z, y, x).
        channels: Channels of the image.
    """
    return 4 * COPIES * channels * math.prod(shape)


def check_image(name: str, geometry: Geometry, channels: int, memory_bytes: int | None) -> None:
    """Refuses an image that cannot be preprocessed within the memory.

    Raises:
        ImageError: It cannot.
    """
    if memory_bytes is None:
        return
    depth, height, width = geometry.shape
    need = PROCESS_BYTES["cpu"] + preprocessing_bytes(geometry.shape, channels)
    if need > memory_bytes:
        raise ImageError(
            f"{name}: preprocessing {depth}×{height}×{width} voxels takes about "
            f"{need / 2**30:.1f} GB, --memory allows {memory_bytes / 2**30:.1f} GB. Give more."
        )


def _resident_bytes() -> int:
    """Memory of this process now; a typical value where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return PROCESS_BYTES["cpu"]
    return pages * 4096
