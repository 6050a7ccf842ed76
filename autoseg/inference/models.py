"""Finds and reads models: a file, a run's folder or a workspace, with their earlier stages."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoseg.checkpoint import Checkpoint, Provenance, load_checkpoint
from autoseg.errors import InputError, UsageError
from autoseg.interop import nnunet
from autoseg.schema.unfinished import is_unfinished
from autoseg.workspace import Run, Workspace

logger = logging.getLogger(__name__)

ALL = "fold_all"


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

    def provenances(self) -> list[Provenance]:
        """Where the model comes from, then where all earlier stages do."""
        earlier = [made for stage in self.previous for item in stage for made in item.provenances()]
        return [self.checkpoint.provenance, *earlier]


def find_models(path: Path) -> list[Path]:
    """Model files for a path.

    Of a configuration or a workspace these are the models of all finished folds; that of all cases
    only counts where there are no folds. What was interrupted is left out, and said; named itself,
    it is its best model so far.

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
    if path.name.startswith("fold_"):
        if nnunet.is_model_folder(path.parent):
            return _some(path, nnunet.find_checkpoint(path))
        return _some(path, _of_run(Run(path)))
    return _some(path, _finished(_fold_folders(path) or _folders_of_workspace(path)))


def _folders_of_workspace(path: Path) -> list[Path]:
    """Folders of all folds of a workspace, of which one configuration has finished ones."""
    workspace = Workspace(path)
    configurations = sorted({run.folder.parent for run in workspace.all_runs()})
    if len(configurations) > 1:
        listed = ", ".join(map(str, configurations))
        raise UsageError(f"{path}: has models of several configurations. Name one: {listed}.")
    return [folder for item in sorted(workspace.runs.glob("*")) for folder in _fold_folders(item)]


def _fold_folders(path: Path) -> list[Path]:
    return sorted(item for item in path.glob("fold_*") if item.is_dir())


def _finished(folders: Sequence[Path]) -> list[Path]:
    """Models of the finished ones of a configuration's folds."""
    runs = [Run(folder) for folder in folders]
    finished = [run for run in runs if run.final.is_file()]
    for run in runs:
        if run not in finished and (run.best.is_file() or run.last.is_file()):
            logger.warning(
                "%s: left out, its training was interrupted. Go on with autoseg_train … --resume, "
                "or name the folder to take its best model so far.",
                run.folder,
            )
    numbered = [run for run in finished if run.folder.name != ALL]
    if numbered and len(numbered) < len(finished):
        logger.info("%s: left out beside the folds. Name it to take it.", ALL)
    return [run.final for run in numbered or finished]


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
    if run.path(name).final.is_file():
        return [run.path(name).final]
    # An imported cascade has its first stage inside; it comes before any that lies beside.
    inside, beside = run.folder.parent / name, run.folder.parent.parent / name
    folder = inside if inside.is_dir() else beside
    found = _finished([folder / run.folder.name] if same_fold else _fold_folders(folder))
    if not found:
        raise InputError(
            f"{path}: needs a finished model of {name}, which is not in {folder}. Train it, or "
            "leave the model file in its workspace."
        )
    return found


def _of_run(run: Run) -> list[Path]:
    """The model of a run that was named: the final one, or else the best so far."""
    if run.final.is_file():
        return [run.final]
    if not run.best.is_file():
        return []
    logger.warning("%s: its training was interrupted; its best model so far is taken.", run.folder)
    return [run.best]


def _some(path: Path, models: list[Path]) -> list[Path]:
    if not models:
        raise InputError(f"{path}: no trained model. Run autoseg_train first.")
    return models
