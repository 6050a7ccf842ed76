"""Memory of a training, found without running it: a step is traced with empty tensors."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from autoseg.architectures import build_network
from autoseg.costs.batch_shapes import batch_shapes
from autoseg.costs.machine import PROCESS_BYTES
from autoseg.costs.tracing import LiveBytes
from autoseg.losses import build_loss
from autoseg.losses.deep_supervision import DeepSupervision
from autoseg.precision import memory_format
from autoseg.preprocessing.store import SMALL_BYTES
from autoseg.schema.plan import Configuration

SLACK_PER_PARAMETER = 1.6
SLACK_PER_ACTIVATION = 0.5
MAX_ACTIVATION_SLACK = 200 * 2**20
"""Memory that the C library keeps beyond what is alive: in copies of all parameters, or in shares
of small activations (large ones go back at once), whichever is more (measured on Linux)."""
MOMENTS = {"sgd": 1, "adamw": 2}


def training_footprint(configuration: Configuration, device: str) -> int:
    """Bytes of the process that trains a configuration: resident memory, or the GPU's.

    Cases that stay in memory come on top, see `cached_bytes`.

    Args:
        configuration: Network, patch, batch and optimiser.
        device: cpu, cuda or mps.
    """
    parameters, peak = trace_step(configuration, device)
    plan = configuration.training
    copies = MOMENTS[plan.optimiser] + (1 if plan.weight_average else 0)
    total = PROCESS_BYTES[device] + peak + int(parameters * copies)
    if device == "cpu":
        slack = min(SLACK_PER_ACTIVATION * peak, MAX_ACTIVATION_SLACK)
        total += int(max(slack, SLACK_PER_PARAMETER * parameters))
    return total


def cached_bytes(cases: Iterable[int], stages: Iterable[int], limit: int) -> int:
    """Memory of preprocessed cases that stay in memory.

    Args:
        cases: Size of every case; only small ones are kept.
        stages: Size of what earlier stages predict for every case.
        limit: What cases may take; the predictions may take half of it on top.
    """
    small = sum(size for size in cases if size <= SMALL_BYTES)
    return min(small, limit) + min(sum(stages), limit // 2)


def count_parameters(configuration: Configuration) -> int:
    """Parameters of a configuration's network, of any architecture."""
    with torch.device("meta"):
        network = build_network(
            configuration.network, configuration.in_channels, configuration.labels.num_outputs
        )
    return sum(item.numel() for item in network.parameters())


def trace_step(configuration: Configuration, device: str) -> tuple[int, int]:
    """Traces one training step.

    Returns:
        Bytes of the parameters, and the peak of everything that is alive during forward and
        backward pass, parameters and gradients included.
    """
    outputs = configuration.labels.num_outputs
    batch, patch = configuration.batch_size, configuration.patch_size
    loss = DeepSupervision(build_loss(configuration.training))
    shapes = batch_shapes(configuration)
    # Traced as on a CPU, whose kernels are known everywhere, in the device's number format.
    layout = memory_format(torch.device("cpu"), configuration.dimensions)
    half = device == "cuda"
    with FakeTensorMode(allow_non_fake_inputs=True), LiveBytes() as live:
        network = build_network(configuration.network, configuration.in_channels, outputs).train()
        parameters = sum(item.numel() * item.element_size() for item in network.parameters())
        image = torch.empty(batch, configuration.in_channels, *patch)
        image = image.contiguous(memory_format=layout)
        target, mask = shapes.blank(torch.device("cpu"))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            logits = network(image)
            if not configuration.training.deep_supervision:
                logits = logits[:1]
            value = loss(logits, target, mask)
        torch.autograd.backward(value)
    return parameters, live.peak
