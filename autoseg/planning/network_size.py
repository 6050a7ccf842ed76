"""What a network costs: feature map elements, parameters and the memory of a training step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autoseg.costs.machine import PROCESS_BYTES
from autoseg.schema.plan import Configuration, NetworkSpec

RESIDUAL = "residual_unet"
CONVOLUTIONAL = ("plain_unet", RESIDUAL)
BYTES_PER_ELEMENT = 10.0
"""Measured bytes of a training step per feature map element (float32, values and gradients)."""
BYTES_PER_PARAMETER = 24.0
"""Weight, gradient, two moments, averaged weight and the optimiser's scratch in float32."""


def feature_map_elements(spec: NetworkSpec, patch_size: Sequence[int], out_channels: int) -> int:
    """Elements of all convolution outputs for one patch, the measure of nnU-Net's planner.

    Deep supervision heads are not counted but the finest.
    """
    shapes = _stage_shapes(spec, patch_size)
    total = 0
    if spec.architecture == RESIDUAL:
        total += spec.features[0] * math.prod(shapes[0])
    channels = spec.features[0] if spec.architecture == RESIDUAL else 0
    for stage, shape in enumerate(shapes):
        voxels, features = math.prod(shape), spec.features[stage]
        if spec.architecture == RESIDUAL:
            strided = any(step != 1 for step in spec.strides[stage])
            has_skip = strided or channels != features
            total += features * voxels * (2 * spec.encoder_blocks[stage] + has_skip)
            channels = features
        else:
            total += features * voxels * spec.encoder_blocks[stage]
    for level, convs in enumerate(spec.decoder_blocks):
        here = len(spec.features) - 2 - level
        total += spec.features[here] * math.prod(shapes[here]) * (convs + 1)
    return total + out_channels * math.prod(shapes[0])


def work(spec: NetworkSpec, patch_size: Sequence[int], out_channels: int) -> float:
    """A measure of the work of a step on one patch, to compare networks of one architecture."""
    if spec.architecture in CONVOLUTIONAL:
        return float(feature_map_elements(spec, patch_size, out_channels))
    total = float(8 * spec.features[0] * math.prod(patch_size))
    blocks = spec.encoder_blocks or (1,) * len(spec.features)
    for shape, features, depth in zip(
        _stage_shapes(spec, patch_size), spec.features, blocks, strict=False
    ):
        total += math.prod(shape) * features * (8 + 16 * depth)
    return total


def num_parameters(spec: NetworkSpec, in_channels: int, out_channels: int) -> int:
    """Parameters of a plain or residual U-Net, all deep supervision heads included."""
    total = 0

    def conv(inputs: int, outputs: int, kernel: Sequence[int]) -> int:
        return inputs * outputs * math.prod(kernel) + outputs + 2 * outputs  # bias and norm

    channels = in_channels
    if spec.architecture == RESIDUAL:
        total += conv(channels, spec.features[0], spec.kernel_sizes[0])
        channels = spec.features[0]
    for stage, features in enumerate(spec.features):
        kernel = spec.kernel_sizes[stage]
        for _ in range(spec.encoder_blocks[stage]):
            total += conv(channels, features, kernel)
            if spec.architecture == RESIDUAL:
                total += conv(features, features, kernel)
                if channels != features:
                    total += channels * features + 2 * features
            channels = features
    for level, convs in enumerate(spec.decoder_blocks):
        here = len(spec.features) - 2 - level
        features, below = spec.features[here], spec.features[here + 1]
        total += below * features * math.prod(spec.strides[here + 1]) + features
        total += conv(2 * features, features, spec.kernel_sizes[here])
        total += (convs - 1) * conv(features, features, spec.kernel_sizes[here])
        total += features * out_channels + out_channels
    if not spec.decoder_blocks:  # the only level has the only head
        total += spec.features[0] * out_channels + out_channels
    return total


def work_of(configuration: Configuration) -> float:
    """A measure of the work of a training step."""
    outputs = configuration.labels.num_outputs
    amount = work(configuration.network, configuration.patch_size, outputs)
    return amount * configuration.batch_size


def training_memory_bytes(configuration: Configuration, device: str = "cpu") -> int:
    """Rule of thumb for the memory of training a convolutional network in float32."""
    spec, outputs = configuration.network, configuration.labels.num_outputs
    if spec.architecture not in CONVOLUTIONAL:
        return PROCESS_BYTES[device]
    elements = feature_map_elements(spec, configuration.patch_size, outputs)
    parameters = num_parameters(spec, configuration.in_channels, outputs)
    step = BYTES_PER_ELEMENT * elements * configuration.batch_size
    return int(PROCESS_BYTES[device] + step + BYTES_PER_PARAMETER * parameters)


def _stage_shapes(spec: NetworkSpec, patch_size: Sequence[int]) -> list[list[int]]:
    shape = list(patch_size)
    shapes = []
    for stride in spec.strides:
        shape = [size // step for size, step in zip(shape, stride, strict=True)]
        shapes.append(shape)
    return shapes
