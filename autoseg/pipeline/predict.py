"""Predicts images with one or several models."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autoseg.costs.machine import find_device
from autoseg.errors import UsageError
from autoseg.parallel import default_workers
from autoseg.planning.budget import parse_memory

if TYPE_CHECKING:
    from autoseg.inference.execution import Choice
    from autoseg.inference.files import Report

logger = logging.getLogger(__name__)


def predict(
    models: Sequence[Path | str],
    source: Path | str,
    output: Path | str,
    *,
    save_probabilities: bool = False,
    mirroring: bool = True,
    step: float = 0.5,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    workers: int | None = None,
    memory: str | None = None,
    precision: Choice = "auto",
    roi: Sequence[str] = (),
    roi_model: Path | str | None = None,
    roi_margin_mm: float = 20.0,
) -> Report:
    """Predicts images with the average of one or several models.

    Args:
        models: Checkpoint files, run folders or workspaces.
        source: Folder of images, or one image.
        output: Folder for the label maps, or one file where the source is one file.
        save_probabilities: Also write probabilities as .npz (float16, key "probabilities").
        mirroring: Average over the mirrored axes of the plan.
        step: Distance of neighbouring tiles as a share of the tile.
        resume: Skip cases that are there.
        overwrite: Replace label maps that are there.
        device: auto, cpu, cuda or mps.
        workers: Threads that read ahead.
        memory: What the process may take, such as 4GB; cases are then read one at a time. It
            changes no result.
        precision: "auto" computes in float32 on CPUs and in half precision on GPUs; "float32" and
            "mixed" choose one; "fastest" measures formats, memory layouts and torch.compile once
            and remembers what was fastest here.
        roi: Labels of `roi_model`; only the box around them is predicted.
        roi_model: A coarse model that finds them, one of `models`' forms.
        roi_margin_mm: Margin around that box.

    Returns:
        What was written, skipped and what failed.
    """
    from autoseg.datasets.file_names import input_cases
    from autoseg.inference.files import find_targets, predict_files
    from autoseg.inference.models import find_models, load_models
    from autoseg.inference.network import Options
    from autoseg.inference.predictor import Predictor
    from autoseg.inference.region_of_interest import RegionOfInterest

    if resume and overwrite:
        raise UsageError("--resume keeps label maps that are there and --overwrite replaces them.")
    if bool(roi) != (roi_model is not None):
        raise UsageError("--roi LABELS and --roi-model MODEL need each other.")
    paths = [path for model in models for path in find_models(Path(model))]
    options = Options(
        mirroring=mirroring,
        step=step,
        device=find_device(device),
        memory_bytes=parse_memory(memory) if memory else None,
        precision=precision,
    )
    region = None
    if roi_model is not None:
        finder = Predictor(load_models(find_models(Path(roi_model))), options)
        region = RegionOfInterest(finder, roi, roi_margin_mm)
    predictor = Predictor(load_models(paths), options, region)
    cases = input_cases(Path(source), predictor.num_channels)
    targets = find_targets(Path(source), cases, Path(output), keep=resume, overwrite=overwrite)
    for path in paths:
        logger.info("Model %s", path)
    return predict_files(
        predictor,
        cases,
        targets,
        probabilities=save_probabilities,
        resume=resume,
        workers=workers or default_workers(),
    )
