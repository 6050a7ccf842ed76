"""Automated segmentation of medical images: from a labelled data set to scored predictions.

The verbs of the command line are functions here: plan, train, predict, evaluate, validate, run,
demo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoseg.version import __version__

if TYPE_CHECKING:
    from autoseg.pipeline import demo, evaluate, plan, predict, run, train, validate

__all__ = [
    "__version__",
    "demo",
    "evaluate",
    "plan",
    "predict",
    "run",
    "train",
    "validate",
]


def __getattr__(name: str) -> Any:
    """Imports the verbs when they are first used, so that `import autoseg` stays quick."""
    if name in __all__:
        from autoseg import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'autoseg' has no attribute '{name}'")
