"""Models of other programs in, models for other programs out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autoseg.datasets.recipes import load_recipe

if TYPE_CHECKING:
    pass


def import_model(
    source: Path | str,
    output: Path | str,
    *,
    configuration: str | None = None,
    recipe: str | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Turns a model that nnU-Net trained into model files of ours.

    Args:
        source: nnU-Net's result folder (`TRAINER__PLANS__CONFIGURATION`) or one above, or a zip.
        output: Folder for `fold_N/checkpoint_final.pt`, which `predict` takes.
        configuration: Which one, where there are several, such as 3d_fullres.
        recipe: What is known about the model beside its files, such as totalsegmentator:291: the
            orientation that its program turns images to, and the names of its labels.
        overwrite: Replace models that are there.

    Returns:
        The model files.
    """
    from autoseg.interop import nnunet

    knowledge = None
    if recipe is not None:
        known = load_recipe(recipe)
        names = {value: name for name, value in known.labels.items() if isinstance(value, int)}
        knowledge = nnunet.Knowledge(orientation=known.orientation, names=names)
    return nnunet.import_model(
        Path(source),
        Path(output),
        configuration=configuration,
        overwrite=overwrite,
        knowledge=knowledge,
    )


def export_model(
    kind: str, model: Path | str, output: Path | str, *, overwrite: bool = False
) -> list[str]:
    """Writes models of ours for other programs.

    Args:
        kind: nnunet (a result folder for nnU-Net v2, all folds in it), onnx, or program (torch's
            ExportedProgram). The last two write one network and its plan beside it.
        model: Checkpoint file, run folder or workspace.
        output: Folder for nnunet, else a file that ends in .onnx or .pt2.
        overwrite: Replace what is there.

    Returns:
        What users of the result have to know.
    """
    from autoseg.inference.models import find_models, read_any
    from autoseg.interop.export import export

    models = {path: read_any(path) for path in find_models(Path(model))}
    return export(kind, models, Path(output), overwrite=overwrite)
