"""From a data set to scores in one go, on the user's data or on made-up ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from autoseg import planned
from autoseg.pipeline.earlier_training import check_training
from autoseg.pipeline.plan import default_configuration, plan
from autoseg.pipeline.train import train
from autoseg.pipeline.validate import validate
from autoseg.schema.plan_request import PlanOptions
from autoseg.workspace import Workspace

if TYPE_CHECKING:
    from evaluation import Summary

logger = logging.getLogger(__name__)


def run(
    dataset: Path | str,
    workspace: Path | str,
    *,
    configuration: str | None = None,
    folds: Sequence[int | str] | None = None,
    epochs: int | None = None,
    workers: int | None = None,
    **options: Unpack[PlanOptions],
) -> dict[Path, Summary | None]:
    """From a data set to scores: plan, preprocess, train, predict the validation cases, evaluate.

    An interrupted run goes on where it was when it is started again. A training that other options
    began is neither taken for theirs nor replaced: it is an error that says how to go on.

    Args:
        dataset: Folder in nnU-Net's raw format.
        workspace: Folder in which everything is made.
        configuration: Which one to train; None takes 3d_fullres, or 2d for 2D images.
        folds: Folds to train; None for the first one, or "all" where there are too few cases to
            leave any out.
        epochs: Fixed number of epochs.
        workers: Processes; None takes all processors.
        options: Fields of a `PlanRequest`, such as time_budget="10m" (for each training).

    Returns:
        Folder of each run → scores of its validation cases, None where it learnt from all cases.

    Raises:
        UsageError: A fold is unknown, or a training was made with other options.
    """
    if configuration is None:
        configuration = default_configuration(Path(dataset))
    options["configurations"] = (configuration,)
    plan(dataset, workspace, reuse=True, workers=workers, **options)
    device = options.get("device", "auto")
    workspace = Workspace(Path(workspace))
    folds = _chosen_folds(workspace, folds)
    trainings = [
        *((name, number) for name, number in _first_stages(workspace, configuration)),
        *((configuration, fold) for fold in folds),
    ]
    for name, fold in trainings:
        check_training(workspace, name, fold, epochs)
    summaries: dict[Path, Summary | None] = {}
    for name, fold in trainings:
        train(workspace.root, name, fold, resume=True, epochs=epochs, device=device)
        if name != configuration:
            continue
        folder = workspace.run(name, fold).folder
        summaries[folder] = None
        if fold == planned.ALL:
            logger.info("%s has learnt from all cases; nothing is left to validate.", folder)
        else:
            summaries[folder] = validate(workspace.root, name, fold, device=device, workers=workers)
    return summaries


def _chosen_folds(workspace: Workspace, folds: Sequence[int | str] | None) -> tuple[int | str, ...]:
    """The folds to train, each of which exists."""
    dataset = planned.load_dataset(workspace)
    if folds is None:
        return (0,) if planned.load_folds(workspace, dataset) else (planned.ALL,)
    for fold in folds:
        planned.load_fold(workspace, dataset, fold)
    return tuple(folds)


def _first_stages(workspace: Workspace, configuration: str) -> list[tuple[str, int]]:
    """Trainings that a cascade's second stage needs: all folds of its first."""
    stage = planned.load_plan(workspace).configurations[configuration].previous
    if stage is None or stage.kind != "labels":
        return []
    count = len(planned.load_folds(workspace, planned.load_dataset(workspace)))
    return [(name, number) for name in stage.names for number in range(count)]


def demo(
    folder: Path | str,
    *,
    time_budget: str = "2m",
    device: str = "auto",
    workers: int | None = None,
) -> dict[Path, Summary | None]:
    """Makes a small synthetic data set and does `run` on it.

    Args:
        folder: Folder for the data set and the workspace.
        time_budget: For the training.
        device: auto, cpu, cuda or mps.
        workers: Processes.
    """
    from dataset_conversion.synthetic import write_synthetic

    root = Path(folder)
    data = root / "Dataset900_Demo"
    if not (data / "dataset.json").is_file():
        write_synthetic(data)
    return run(data, root / "workspace", time_budget=time_budget, device=device, workers=workers)
