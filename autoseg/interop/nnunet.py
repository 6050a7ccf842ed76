"""Reads models that nnU-Net trained: result folders, their checkpoints, and zips of them."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoseg.checkpoint import Checkpoint, Provenance, read_safely, save_checkpoint
from autoseg.errors import CheckpointError, InputError, UsageError
from autoseg.interop.archive import unpack
from autoseg.interop.fields import Fields
from autoseg.interop.nnunet_plans import read_configuration
from autoseg.report.model_card import write_card
from autoseg.schema.labels import LabelClass
from autoseg.schema.orientation import Orientation
from autoseg.schema.unfinished import is_unfinished, unfinished
from autoseg.workspace import Run

logger = logging.getLogger(__name__)

NAMES = ("checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth")
RENAMES = (
    (r"^encoder\.stages\.(\d+)\.0\.convs\.(\d+)\.", r"encoder.\1.\2."),
    (r"^encoder\.stem\.convs\.0\.", r"stem."),
    (r"^encoder\.stages\.(\d+)\.blocks\.(\d+)\.", r"encoder.\1.\2."),
    (r"^decoder\.stages\.(\d+)\.convs\.(\d+)\.", r"decoder.stages.\1.\2."),
    (r"^decoder\.transpconvs\.", r"decoder.transposed."),
    (r"^decoder\.seg_layers\.", r"decoder.heads."),
)


def is_model_folder(path: Path) -> bool:
    """Whether a folder is one that nnU-Net's training wrote.

    Folders of predictions and of cross-validations have the same two files, but no folds.
    """
    if path.name.startswith(("crossval_results", "validation")):
        return False
    return (path / "plans.json").is_file() and (path / "dataset.json").is_file()


def find_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of all finished folds of a result folder.

    As in nnU-Net, that of all cases is only taken where there are no others. Folds without a final
    checkpoint are left out, and said; where no fold has one, the best ones are taken.

    Raises:
        InputError: There are none.
    """
    folds = sorted(item for item in folder.glob("fold_*") if item.is_dir())
    found = [path for fold in folds for path in find_checkpoint(fold)]
    found = [path for path in found if path.parent.name != "fold_all"] or found
    finished = [path for path in found if path.name == NAMES[0]]
    for path in found:
        if path not in finished:
            what = "left out" if finished else f"{path.name} is taken"
            logger.warning("%s: has no %s; %s.", path.parent, NAMES[0], what)
    if not found:
        raise InputError(f"{folder}: has no fold_*/{NAMES[0]}.")
    return finished or found


def find_checkpoint(fold: Path) -> list[Path]:
    """The checkpoint of one fold, or nothing."""
    return [fold / name for name in NAMES if (fold / name).is_file()][:1]


def find_stage(path: Path, name: str) -> list[Path]:
    """Checkpoints of an earlier stage, whose result folder lies beside that of a checkpoint.

    Args:
        path: Checkpoint of the later stage.
        name: Configuration of the earlier one, such as 3d_lowres.

    Raises:
        InputError: It is not there.
    """
    folder = path.parent.parent
    prefix = folder.name.rpartition("__")[0]
    beside = [folder.with_name(f"{prefix}__{name}" if prefix else name)]
    beside += sorted(folder.parent.glob(f"*__{name}"))  # another trainer may have made it
    for candidate in beside:
        if is_model_folder(candidate):
            return find_checkpoints(candidate)
    raise InputError(
        f"{path}: is the second stage of a cascade and needs the model {beside[0].name} in "
        f"{folder.parent}. Put its result folder there."
    )


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint of nnU-Net, whose plans.json and dataset.json lie one folder above.

    Nothing in the files is executed: weights are read without unpickling objects, and network
    classes are looked up in a list and not imported.

    Raises:
        CheckpointError: It is damaged, unsafe, or does not fit the plans.
        InputError: The plans want something that we do not do.
    """
    folder = path.parent.parent
    plans, dataset = (Fields.read(folder / name) for name in ("plans.json", "dataset.json"))
    content = _load(path)
    try:
        arguments, weights = content["init_args"], content["network_weights"]
        name = str(arguments["configuration"])
        axes = tuple(int(axis) for axis in content.get("inference_allowed_mirroring_axes") or ())
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: no checkpoint of nnU-Net ({error!r} is missing).") from None
    if not isinstance(weights, dict) or not all(map(torch.is_tensor, weights.values())):
        raise CheckpointError(f"{path}: its network_weights are no table of tensors.")
    trainer = str(content.get("trainer_name", "nnUNetTrainer"))[:80]
    configuration = read_configuration(plans, dataset, name, axes)
    checkpoint = Checkpoint(
        configuration=configuration,
        weights=rename_weights(weights),
        provenance=Provenance(
            dataset=plans.text("dataset_name", folder.parent.name),
            fold=path.parent.name.removeprefix("fold_"),
            train_cases=(),
            val_cases=(),
            file_ending=dataset.text("file_ending", ".nii.gz"),
            steps=0,
            val_dice=None,
        ),
    )
    try:
        checkpoint.build()
    except CheckpointError as error:
        raise CheckpointError(
            f"{path}: the trainer '{trainer}' has another network than the plans describe, so "
            f"that it cannot be read ({error})."
        ) from None
    return checkpoint


def rename_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """nnU-Net's state dict with our names, every tensor once."""
    result = {}
    for key, value in weights.items():
        name = key.removeprefix("module.").removeprefix("_orig_mod.")
        if name.startswith("decoder.encoder.") or ".all_modules." in name:
            continue
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
        result[name] = value
    return result


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What is known about a model beside its files.

    Attributes:
        orientation: Orientation that its program turns all images to, or None.
        names: Raw label value → name, or nothing where the model's own names are kept.
    """

    orientation: Orientation | None = None
    names: Mapping[int, str] = field(default_factory=dict)

    def applied(self, checkpoint: Checkpoint, where: Path) -> Checkpoint:
        """The model with this.

        Raises:
            InputError: The model has other labels.
        """
        configuration = checkpoint.configuration
        labels = configuration.labels
        if self.names:
            values = sorted(value for item in labels.classes for value in item.values)
            if labels.has_regions or values != sorted(self.names):
                raise InputError(
                    f"{where}: has {len(labels.classes)} labels ({values[:3]} …), the recipe "
                    f"{len(self.names)}. Choose the recipe of this model."
                )
            classes = tuple(
                LabelClass(name=self.names[item.values[0]], values=item.values)
                for item in labels.classes
            )
            labels = replace(labels, classes=classes)
        orientation = self.orientation or configuration.orientation
        changed = replace(configuration, labels=labels, orientation=orientation)
        return replace(checkpoint, configuration=changed)


def choose_folder(path: Path, configuration: str | None, shown: Path) -> Path:
    """The result folder of one model: the folder itself, or one below it.

    A cascade's second stage is chosen where only its first stage lies beside it.

    Args:
        path: Where to look, three levels deep.
        configuration: Such as 3d_fullres, or None.
        shown: What messages call it.

    Raises:
        InputError: There is no such model, or there are several.
    """
    if is_model_folder(path):
        return path
    plans = [file for depth in (1, 2, 3) for file in path.glob("*/" * depth + "plans.json")]
    models = sorted(
        file.parent
        for file in plans
        if is_model_folder(file.parent) and any(file.parent.glob("fold_*"))
    )
    if configuration is not None:
        chosen = [folder for folder in models if folder.name.endswith(f"__{configuration}")]
    elif len(models) == 2 and sum("cascade" in folder.name for folder in models) == 1:
        chosen = [folder for folder in models if "cascade" in folder.name]
    else:
        chosen = models
    if len(chosen) == 1:
        return chosen[0]
    if not models and any(path.rglob("*.model.pkl")):
        raise InputError(
            f"{shown}: holds a model of nnU-Net v1, which cannot be read: its files are pickled "
            "objects. Predict with v1, or train again with v2."
        )
    if not models:
        raise InputError(f"{shown}: has no plans.json and dataset.json of nnU-Net with folds.")
    listed = ", ".join(str(folder.relative_to(path)) for folder in models)
    raise InputError(f"{shown}: expected one model, found {listed}. Choose with --configuration.")


def import_model(
    source: Path,
    output: Path,
    *,
    configuration: str | None = None,
    overwrite: bool = False,
    knowledge: Knowledge | None = None,
) -> list[Path]:
    """Writes a model of nnU-Net, a result folder or a zip of one, as our model files.

    The first stage of a cascade, whose folder lies beside, comes into a folder with its name.

    Args:
        source: Folder with plans.json or with such folders, or a zip that holds one.
        output: Folder for `fold_N/checkpoint_final.pt`.
        configuration: Which one, where there are several.
        overwrite: Replace models that are there.
        knowledge: What its files do not say.

    Returns:
        The files.

    Raises:
        UsageError: There are models already.
        InputError: The source is no model, or an unsafe archive.
    """
    if source.is_file():
        output.parent.mkdir(parents=True, exist_ok=True)
        # A private folder beside the output: nobody can have put links there.
        with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=output.parent) as unpacked:
            unpack(source, Path(unpacked), (*NAMES[:2], "plans.json", "dataset.json"))
            folder = choose_folder(Path(unpacked), configuration, source)
            return _import_folder(folder, output, overwrite=overwrite, knowledge=knowledge)
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder.")
    folder = choose_folder(source, configuration, source)
    return _import_folder(folder, output, overwrite=overwrite, knowledge=knowledge)


def _import_folder(
    source: Path, output: Path, *, overwrite: bool, knowledge: Knowledge | None
) -> list[Path]:
    targets = {Run(output / path.parent.name).final: path for path in find_checkpoints(source)}
    models = {target: read_checkpoint(path) for target, path in targets.items()}
    first = next(iter(targets.values()))
    stage = next(iter(models.values())).configuration.previous
    for name in stage.names if stage else ():
        for path in find_stage(first, name):
            models[Run(output / name / path.parent.name).final] = read_checkpoint(path)
    if knowledge is not None:
        models = {path: knowledge.applied(model, source) for path, model in models.items()}
    there = [path for path in models if path.exists()]
    if there and not overwrite and not is_unfinished(output):
        raise UsageError(f"{there[0]}: is there already. Use --overwrite, or another -o.")
    with unfinished(output):
        for target, model in models.items():
            save_checkpoint(target, model)
            write_card(Run(target.parent).card, model, origin="nnU-Net")
            logger.info("%s, %s", target, model.configuration.network.architecture)
    return list(targets)


def _load(path: Path) -> dict[str, Any]:
    """The content of a checkpoint; nothing but tensors, numbers and texts is allowed."""
    core: Any = getattr(np, "_core", None) or np.core
    scalar = core.multiarray.scalar
    allowed: list[Any] = [
        np.dtype,
        type(np.dtype(np.float64)),
        type(np.dtype(np.float32)),
        (scalar, "numpy._core.multiarray.scalar"),
        (scalar, "numpy.core.multiarray.scalar"),
    ]
    content = read_safely(path, allowed)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: no checkpoint of nnU-Net.")
    return content
