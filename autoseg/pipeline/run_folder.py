"""The folder of a run: an earlier training stays until its successor has a checkpoint."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from autoseg.errors import UsageError
from autoseg.schema.serialise import remove_leftovers
from autoseg.workspace import Run

logger = logging.getLogger(__name__)


def has_training(run: Run) -> bool:
    """Whether a training was begun or finished there."""
    return run.last.exists() or run.final.exists() or run.paths.exists()


def check_free(run: Run, *, resume: bool, overwrite: bool) -> None:
    """Refuses a run that holds an earlier training which is neither continued nor replaced.

    Raises:
        UsageError: There is an earlier run.
    """
    if resume or overwrite or not has_training(run):
        return
    state = "a finished" if run.final.exists() else "an interrupted"
    raise UsageError(
        f"{run.folder}: holds {state} training. Use --resume to go on, or --overwrite to "
        "start anew."
    )


def make_folder(run: Run) -> None:
    """Makes the run's folder and clears half-written files away."""
    run.folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(run.folder)


def continue_log(run: Run) -> None:
    """Moves what was logged before the folder was this training's own into its log."""
    if not run.preparation_log.is_file():
        return
    with run.log.open("a", encoding="utf-8") as log:
        log.write(run.preparation_log.read_text(encoding="utf-8"))
    run.preparation_log.unlink()


def set_aside(run: Run) -> Path | None:
    """Moves an earlier training out of the way; `restore` brings it back.

    Returns:
        Where it is, or None where there was none.
    """
    if not has_training(run):
        return None
    run.folder.rename(run.replaced)
    return run.replaced


def restore(run: Run) -> None:
    """Brings back what a training replaced that ended before its first checkpoint.

    Where the successor got that far, the earlier training is removed instead.
    """
    if not run.replaced.exists():
        return
    if has_checkpoint(run):
        shutil.rmtree(run.replaced)
        return
    shutil.rmtree(run.folder, ignore_errors=True)
    run.replaced.rename(run.folder)
    logger.warning(
        "%s: the training that should replace it ended before its first checkpoint; "
        "the earlier one is back.",
        run.folder,
    )


def has_checkpoint(run: Run) -> bool:
    """Whether anything was learnt there: by the network or by a path of a multi-path one."""
    return run.last.exists() or run.final.exists() or any(run.paths.glob("*/checkpoint_*.pt"))
