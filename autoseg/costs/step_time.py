"""How long a training step takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from autoseg.architectures import build_network
from autoseg.costs.batch_shapes import batch_shapes
from autoseg.losses import build_loss
from autoseg.losses.deep_supervision import DeepSupervision
from autoseg.optimiser import build_optimiser
from autoseg.precision import Precision, memory_format
from autoseg.schema.plan import Configuration

MAX_REPEATS = 10
ENOUGH_S = 0.5
"""Quick steps are timed more often, so many times or so long: a machine that is busy now and then
leaves some of them alone."""


def measure_step_s(
    configuration: Configuration, *, device: str, repeats: int = 3, limit_s: float = 10.0
) -> float:
    """Measures the seconds of one training step of a configuration on random input.

    Args:
        configuration: Network, patch and batch.
        device: cpu, cuda or mps.
        repeats: Steps that are timed at least, after one that warms up.
        limit_s: No further step is begun after this time.

    Returns:
        The fastest step: what else the machine did meanwhile does not count.
    """
    step = _make_step(configuration, torch.device(device))
    begun = time.perf_counter()
    times: list[float] = []

    def timed() -> float:
        before = time.perf_counter()
        step()
        return time.perf_counter() - before

    def goes_on() -> bool:
        spent = time.perf_counter() - begun
        if len(times) < repeats:
            return spent < limit_s
        return len(times) < MAX_REPEATS and spent < min(ENOUGH_S, limit_s)

    warm_up = timed()
    while goes_on():
        times.append(timed())
    return min(times, default=warm_up)


def _make_step(configuration: Configuration, device: torch.device) -> Callable[[], None]:
    """A training step of a new network on one random batch."""
    plan = configuration.training
    shape = (configuration.batch_size, configuration.in_channels, *configuration.patch_size)
    layout = memory_format(device, configuration.dimensions)
    network = build_network(configuration.network, shape[1], configuration.labels.num_outputs).to(
        device, memory_format=layout
    )  # type: ignore[call-overload]
    optimiser = build_optimiser(network, plan)
    loss = DeepSupervision(build_loss(plan))
    precision = Precision(device)
    image = torch.randn(shape, device=device).contiguous(memory_format=layout)
    target, valid_mask = batch_shapes(configuration).blank(device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with precision.autocast():
            logits = network(image)
            if not plan.deep_supervision:
                logits = logits[:1]
            value = loss(logits, target, valid_mask)
        precision.step(value, optimiser, network, plan.gradient_clip)
        float(value.detach())  # waits for the device

    return step
