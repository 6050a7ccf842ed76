"""Intensity augmentations: parameters are drawn first, then applied deterministically."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Apply = Callable[[Tensor], Tensor]
"""Maps one channel [*space] to one channel of the same shape."""


def gaussian_noise(std: float, seed: int) -> Apply:
    """Adds white noise of the given standard deviation."""

    def apply(channel: Tensor) -> Tensor:
        generator = torch.Generator(device=channel.device).manual_seed(seed)
        noise = torch.randn(channel.shape, generator=generator, device=channel.device)
        return channel.add(noise, alpha=std)

    return apply


def gaussian_blur(sigma: float, dims: int) -> Apply:
    """Blurs with a Gaussian of `sigma` voxels along the last `dims` axes."""
    radius = max(1, int(3 * sigma + 0.5))
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = torch.from_numpy((weights / weights.sum()).astype(np.float32))

    def apply(channel: Tensor) -> Tensor:
        for axis in range(channel.ndim - dims, channel.ndim):
            size = channel.shape[axis]
            index = torch.arange(-radius, size + radius, device=channel.device).clamp_(0, size - 1)
            padded = channel.index_select(axis, index)
            channel = sum(
                padded.narrow(axis, shift, size) * weight
                for shift, weight in enumerate(kernel.tolist())
            )
        return channel

    return apply


def brightness(factor: float) -> Apply:
    """Multiplies all intensities."""
    return lambda channel: channel * factor


def contrast(factor: float) -> Apply:
    """Stretches intensities about their mean and keeps their range."""

    def apply(channel: Tensor) -> Tensor:
        mean, low, high = channel.mean(), channel.min(), channel.max()
        return ((channel - mean) * factor + mean).clamp(low, high)

    return apply


def low_resolution(zoom: float, dims: int) -> Apply:
    """Simulates a coarser acquisition: nearest down to `zoom`, linear back up.

    Args:
        zoom: Share of the voxels that is kept along an axis.
        dims: How many of the last axes become coarser; the others are left alone.
    """

    def apply(channel: Tensor) -> Tensor:
        shape = channel.shape[channel.ndim - dims :]
        small = [max(1, round(size * zoom)) for size in shape]
        batch = channel.reshape(1, -1, *shape)
        batch = functional.interpolate(batch, size=small, mode="nearest-exact")
        mode = "trilinear" if dims == 3 else "bilinear"
        return functional.interpolate(batch, size=shape, mode=mode).reshape(channel.shape)

    return apply


def gamma(exponent: float, *, inverted: bool) -> Apply:
    """Gamma curve over the channel's range; mean and standard deviation are kept."""

    def apply(channel: Tensor) -> Tensor:
        if inverted:
            channel = -channel
        mean, std = channel.mean(), channel.std()
        low = channel.min()
        extent = (channel.max() - low).clamp_min(1e-7)
        curved = ((channel - low) / extent).pow(exponent) * extent + low
        curved = (curved - curved.mean()) / curved.std().clamp_min(1e-7) * std + mean
        return -curved if inverted else curved

    return apply


def draw_intensity(
    rng: np.random.Generator, num_channels: int, dims: int, *, flat: bool = False
) -> list[tuple[int, Apply]]:
    """Draws nnU-Net's intensity augmentations for one sample.

    Args:
        rng: Source of all randomness.
        num_channels: Channels of the sample.
        dims: Axes of a channel that are blurred; what stands before them are slices.
        flat: The first of three axes is coarse, so that it does not become coarser still.

    Returns:
        (channel, operation) in the order of application.
    """
    chosen: list[tuple[int, Apply]] = []

    def every(probability: float, channel_probability: float, make: Callable[[], Apply]) -> None:
        if rng.random() >= probability:
            return
        for channel in range(num_channels):
            if channel_probability == 1 or rng.random() < channel_probability:
                chosen.append((channel, make()))

    every(0.1, 1, lambda: gaussian_noise(rng.uniform(0, 0.1), int(rng.integers(2**31))))
    every(0.2, 0.5, lambda: gaussian_blur(rng.uniform(0.5, 1), dims))
    every(0.15, 1, lambda: brightness(rng.uniform(0.75, 1.25)))
    every(0.15, 1, lambda: contrast(rng.uniform(0.75, 1.25)))
    every(0.25, 0.5, lambda: low_resolution(rng.uniform(0.5, 1), 2 if flat else dims))
    every(0.1, 1, lambda: gamma(_around_one(rng), inverted=True))
    every(0.3, 1, lambda: gamma(_around_one(rng), inverted=False))
    return chosen


def _around_one(rng: np.random.Generator) -> float:
    """Uniform in 0.7 … 1 or in 1 … 1.5, each half of the time."""
    return rng.uniform(0.7, 1) if rng.random() < 0.5 else rng.uniform(1, 1.5)
