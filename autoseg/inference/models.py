"""Finds model files in what a user names: a file, a run's folder or a workspace."""

from __future__ import annotations

from pathlib import Path

from autoseg.errors import InputError, UsageError
from autoseg.workspace import Run, Workspace


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


def _of_run(run: Run) -> Path | None:
    return next((path for path in (run.final, run.best) if path.is_file()), None)


def _some(path: Path, models: list[Path]) -> list[Path]:
    if not models:
        raise InputError(f"{path}: no trained model. Run autoseg_train first.")
    return models
