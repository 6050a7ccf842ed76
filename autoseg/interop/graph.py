"""Networks as graphs for other programs: ONNX, and torch's ExportedProgram."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from autoseg.checkpoint import Checkpoint
from autoseg.errors import AutosegError, UsageError
from autoseg.schema import serialise
from autoseg.schema.serialise import atomic_path

logger = logging.getLogger(__name__)

MAX_BATCH = 1024
TOLERANCE = 1e-3
"""Largest difference of logits between onnxruntime and torch that is accepted."""


class _Finest(nn.Module):
    """The logits of full resolution alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Maps [b, c, *patch] to logits [b, outputs, *patch]."""
        logits: Tensor = self.network(image)[0]
        return logits


def export_onnx(checkpoint: Checkpoint, output: Path, *, overwrite: bool = False) -> float:
    """Writes a network as ONNX, with any number of patches per batch, and its plan beside it.

    Args:
        checkpoint: The model.
        output: File, ending in .onnx.
        overwrite: Replace a file that is there.

    Returns:
        The largest difference between onnxruntime's logits and torch's, for two batch sizes.

    Raises:
        UsageError: A package is missing, or the file is there.
        AutosegError: onnxruntime gives other logits.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401, torch needs it
    except ImportError as error:
        raise UsageError(
            f"{error.name} is missing. Install it with: pip install 'autoseg[export]'"
        ) from None
    _make_room(output, ".onnx", overwrite)
    network, example, shapes = _prepared(checkpoint)
    with atomic_path(output) as temporary:
        with warnings.catch_warnings(), _quiet("torch.onnx"):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (example,),
                str(temporary),
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=["image"],
                output_names=["logits"],
                verbose=False,
                external_data=False,
            )
        session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        gap = 0.0
        for count in (1, 3):
            batch = torch.randn(
                (count, *example.shape[1:]), generator=torch.Generator().manual_seed(count)
            )
            found = torch.from_numpy(session.run(None, {"image": batch.numpy()})[0])
            gap = max(gap, float((found - network(batch)).abs().max()))
        if not gap <= TOLERANCE:
            raise AutosegError(
                f"{output}: onnxruntime's logits differ from torch's by {gap:.2g}; not written."
            )
    _write_plan(checkpoint, output)
    return gap


def export_program(checkpoint: Checkpoint, output: Path, *, overwrite: bool = False) -> None:
    """Writes a network as torch's ExportedProgram (`torch.export.load`), its plan beside it.

    Args:
        checkpoint: The model.
        output: File, ending in .pt2.
        overwrite: Replace a file that is there.

    Raises:
        UsageError: The file is there.
    """
    _make_room(output, ".pt2", overwrite)
    network, example, shapes = _prepared(checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (example,), dynamic_shapes=shapes)
        with atomic_path(output) as temporary:
            torch.export.save(program, temporary)
    _write_plan(checkpoint, output)


def plan_beside(output: Path) -> Path:
    """Where the plan of an exported graph is written."""
    return output.with_name(output.name + ".plan.yaml")


def _prepared(checkpoint: Checkpoint) -> tuple[nn.Module, Tensor, dict[str, dict[int, object]]]:
    configuration = checkpoint.configuration
    network = _Finest(checkpoint.build()).eval().requires_grad_(False)
    example = torch.zeros(2, configuration.in_channels, *configuration.patch_size)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    return network, example, {"image": {0: batch}}


def _write_plan(checkpoint: Checkpoint, output: Path) -> None:
    serialise.save(checkpoint.configuration, plan_beside(output))


def _make_room(output: Path, ending: str, overwrite: bool) -> None:
    if output.suffix != ending:
        raise UsageError(f"{output}: expected a file that ends in {ending}.")
    there = [path for path in (output, plan_beside(output)) if path.exists()]
    if there and not overwrite:
        raise UsageError(f"{there[0]}: is there already. Use --overwrite, or another -o.")


class _quiet:  # noqa: N801, a context manager
    """Silences a logger for a while."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def __enter__(self) -> None:
        self._level = self._logger.level
        self._logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)
