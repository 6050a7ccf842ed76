"""The table of contents: one function per verb, in the order in which a user meets them."""

from autoseg.pipeline.evaluate import evaluate
from autoseg.pipeline.exchange import export_model, import_model
from autoseg.pipeline.plan import plan, preprocess_workspace
from autoseg.pipeline.predict import predict
from autoseg.pipeline.run import demo, run
from autoseg.pipeline.train import train
from autoseg.pipeline.validate import validate

__all__ = [
    "plan",
    "preprocess_workspace",
    "train",
    "validate",
    "predict",
    "evaluate",
    "import_model",
    "export_model",
    "run",
    "demo",
]
