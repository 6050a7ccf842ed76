"""From a data set to scores in one go, on the user's data or on made-up ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from autoseg import planned
from autoseg.pipeline.plan import default_configuration, plan
from autoseg.pipeline.train import train
from autoseg.pipeline.validate import validate
from autoseg.schema.plan_request import PlanOptions
from autoseg.workspace import Workspace

if TYPE_CHECKING:
    from evaluation import Summary


def run(
    dataset: Path | str,
    workspace: Path | str,
    *,
    configuration: str | None = None,
    folds: Sequence[int | str] = (0,),
    epochs: int | None = None,
    workers: int | None = None,
    **options: Unpack[PlanOptions],
) -> dict[Path, Summary]:
    """From a data set to scores: plan, preprocess, train, predict the validation cases, evaluate.

    An interrupted run goes on where it was when it is started again.

    Args:
        dataset: Folder in nnU-Net's raw format.
        workspace: Folder in which everything is made.
        configuration: Which one to train; None takes 3d_fullres, or 2d for 2D images.
        folds: Folds to train.
        epochs: Fixed number of epochs.
        workers: Processes; None takes all processors.
        options: Fields of a `PlanRequest`, such as time_budget="10m" (for each training).

    Returns:
        Folder of each run → scores of its validation cases.
    """
    if configuration is None:
        configuration = default_configuration(Path(dataset))
    options["configurations"] = (configuration,)
    plan(dataset, workspace, reuse=True, workers=workers, **options)
    device = options.get("device", "auto")
    workspace = Workspace(Path(workspace))
    previous = planned.load_plan(workspace).configurations[configuration].previous
    if previous is not None and previous.kind == "labels":
        for name in previous.names:
            for number in range(
                len(planned.load_folds(workspace, planned.load_dataset(workspace)))
            ):
                train(workspace.root, name, number, resume=True, epochs=epochs, device=device)
    summaries = {}
    for fold in folds:
        train(workspace.root, configuration, fold, resume=True, epochs=epochs, device=device)
        if fold == planned.ALL:  # every case was learnt from, none is left to score
            continue
        folder = workspace.run(configuration, fold).folder
        summaries[folder] = validate(
            workspace.root, configuration, fold, device=device, workers=workers
        )
    return summaries


def demo(
    folder: Path | str,
    *,
    time_budget: str = "2m",
    device: str = "auto",
    workers: int | None = None,
) -> dict[Path, Summary]:
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
