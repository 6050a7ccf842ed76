"""Finds and reads models: a file, a run's folder or a workspace, with their earlier stages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autoseg.checkpoint import Checkpoint, load_checkpoint
from autoseg.errors import InputError, UsageError
from autoseg.interop import nnunet
from autoseg.schema.unfinished import is_unfinished
from autoseg.workspace import Run, Workspace


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained network with the models whose predictions it gets.

    Attributes:
        checkpoint: The network.
        previous: Models of each earlier stage, in the order of the configuration's
            `previous.names`; those of one stage are averaged.
        source: The file; models of one file are loaded once.
    """

    checkpoint: Checkpoint
    previous: tuple[tuple[Model, ...], ...] = ()
    source: Path | None = None

    def files(self) -> list[Path]:
        """The model's file and those of all earlier stages."""
        own = [] if self.source is None else [self.source]
        return own + [path for stage in self.previous for item in stage for path in item.files()]


def find_models(path: Path) -> list[Path]:
    """Model files for a path: all folds of a configuration, final models before best ones.

    Raises:
        InputError: There is no model.
        UsageError: The workspace has models of several configurations.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder.")
    if any(is_unfinished(folder) for folder in (path, path.parent)):
        raise InputError(
            f"{path}: is half imported or half exported. Run that command again to complete it."
        )
    if nnunet.is_model_folder(path):
        return nnunet.find_checkpoints(path)
    if path.name.startswith("fold_") and nnunet.is_model_folder(path.parent):
        return _some(path, nnunet.find_checkpoint(path))
    if path.name.startswith("fold_") and (found := _of_run(Run(path))):
        return [found]
    folders = sorted(item for item in path.glob("fold_*") if item.is_dir())
    if folders:
        models = [_of_run(Run(folder)) for folder in folders]
        return _some(path, [model for model in models if model])
    runs = Workspace(path).all_runs()
    configurations = sorted({run.folder.parent.name for run in runs})
    if len(configurations) > 1:
        listed = ", ".join(str(path / "runs" / name) for name in configurations)
        raise UsageError(f"{path}: has models of several configurations. Name one: {listed}.")
    return _some(path, [model for model in map(_of_run, runs) if model])


def read_any(path: Path) -> Checkpoint:
    """Reads a model file of ours, or a checkpoint of nnU-Net's in its folder."""
    return nnunet.read_checkpoint(path) if path.suffix == ".pth" else load_checkpoint(path)


def load_models(paths: Iterable[Path], *, same_fold: bool = False) -> list[Model]:
    """Reads models and those of their earlier stages, every file once.

    Args:
        paths: Model files.
        same_fold: Only take earlier stages of the same fold: for the validation cases, which the
            other folds' networks have learnt from.

    Raises:
        InputError: A model of an earlier stage is missing.
    """
    read: dict[Path, Model] = {}

    def load(path: Path) -> Model:
        path = path.resolve()
        if path not in read:
            checkpoint = read_any(path)
            stage = checkpoint.configuration.previous
            previous = tuple(
                tuple(load(item) for item in previous_models(path, name, same_fold=same_fold))
                for name in (stage.names if stage else ())
            )
            read[path] = Model(checkpoint=checkpoint, previous=previous, source=path)
        return read[path]

    return [load(path) for path in paths]


def previous_models(path: Path, name: str, *, same_fold: bool) -> list[Path]:
    """Model files of an earlier stage, beside a model in its run's folder.

    Raises:
        InputError: There are none.
    """
    if path.suffix == ".pth":
        return nnunet.find_stage(path, name)
    run = Run(path.parent)
    if own := _of_run(run.path(name)):
        return [own]
    folder = run.folder.parent.parent / name
    pattern = run.folder.name if same_fold else "fold_*"
    if not folder.is_dir():  # an imported cascade has its first stage inside
        folder = run.folder.parent / name
    found = [model for item in sorted(folder.glob(pattern)) if (model := _of_run(Run(item)))]
    if not found:
        raise InputError(
            f"{path}: needs a model of {name}, which is not in {folder}. Train it, or leave the "
            "model file in its workspace."
        )
    return found


def _of_run(run: Run) -> Path | None:
    return next((path for path in (run.final, run.best) if path.is_file()), None)


def _some(path: Path, models: list[Path]) -> list[Path]:
    if not models:
        raise InputError(f"{path}: no trained model. Run autoseg_train first.")
    return models
