"""Automated segmentation of medical images: from a labelled data set to scored predictions.

The verbs of the command line are functions here: plan, train, predict, evaluate, validate,
import_model, export_model, run, demo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoseg.version import __version__

if TYPE_CHECKING:
    from autoseg.pipeline.evaluate import evaluate
    from autoseg.pipeline.exchange import export_model, import_model
    from autoseg.pipeline.plan import plan
    from autoseg.pipeline.predict import predict
    from autoseg.pipeline.run import demo, run
    from autoseg.pipeline.train import train
    from autoseg.pipeline.validate import validate

__all__ = [
    "__version__",
    "demo",
    "evaluate",
    "export_model",
    "import_model",
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
