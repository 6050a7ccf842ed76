"""Models of ours for other programs: one function for all kinds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autoseg.checkpoint import Checkpoint
from autoseg.errors import UsageError
from autoseg.interop import graph
from autoseg.interop.nnunet_export import check_nnunet, export_nnunet
from autoseg.report.model_card import write_card
from autoseg.schema.unfinished import is_unfinished, unfinished

KINDS = ("nnunet", "onnx", "program")


def export(
    kind: str, models: Mapping[Path, Checkpoint], target: Path, *, overwrite: bool = False
) -> list[str]:
    """Writes models and a card beside them.

    Args:
        kind: One of `KINDS`; all but nnunet write one network and its plan beside it.
        models: File → model; the folds of one configuration.
        target: Folder for nnunet, else a file.
        overwrite: Replace what is there.

    Returns:
        What users of the result have to know.

    Raises:
        UsageError: The kind is unknown, or there are several models and one is wanted.
    """
    if kind not in KINDS:
        raise UsageError(f"Unknown kind '{kind}'. Known: {', '.join(KINDS)}.")
    first = next(iter(models.values()))
    if kind == "nnunet":
        folds = {item.provenance.fold: item for item in models.values()}
        overwrite = overwrite or is_unfinished(target)
        check_nnunet(folds, target, overwrite=overwrite)
        with unfinished(target):
            notes = export_nnunet(folds, target)
            write_card(target / "MODEL_CARD.md", first, notes=notes)
        return notes
    if len(models) > 1:
        listed = ", ".join(map(str, models))
        raise UsageError(f"There are {len(models)} models; name one: {listed}.")
    notes = []
    if kind == "onnx":
        gap = graph.export_onnx(first, target, overwrite=overwrite)
        notes.append(f"onnxruntime's logits differ from torch's by at most {gap:.1g}.")
    else:
        graph.export_program(first, target, overwrite=overwrite)
    plan_file = graph.plan_beside(target).name
    notes.append(f"{plan_file} says how images are preprocessed; the graph wants patches of them.")
    write_card(target.with_name(target.name + ".card.md"), first, notes=notes)
    return notes
