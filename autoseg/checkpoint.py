"""The model file: configuration, weights and provenance, loaded without unpickling code."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoseg.architectures import build_network
from autoseg.errors import CheckpointError, SchemaError
from autoseg.schema.epoch import Epoch
from autoseg.schema.names import name_fault
from autoseg.schema.plan import Configuration
from autoseg.schema.plan_request import PlanRequest
from autoseg.schema.serialise import SCHEMA_VERSION, atomic_path, from_plain, to_plain
from autoseg.version import __version__

KIND = "autoseg model"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a model comes from.

    Attributes:
        dataset: Name of the data set.
        fold: Fold, or "all".
        train_cases: Cases that it was trained on.
        val_cases: Cases that it was validated on.
        file_ending: Ending of the data set's images, used for predictions.
        steps: Optimiser steps.
        val_dice: Mean Dice of the validation patches at that step.
        request: What the planner was asked for, or None where it is not known.
        data_signature: Of the data set's files at the beginning of the training.
    """

    dataset: str
    fold: str
    train_cases: tuple[str, ...]
    val_cases: tuple[str, ...]
    file_ending: str
    steps: int
    val_dice: float | None
    request: PlanRequest | None = None
    data_signature: str = ""

    def faults(self) -> list[str]:
        """What is wrong, in words: the fold becomes the name of a folder."""
        fault = name_fault("fold", self.fold)
        return [fault] if fault else []


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Everything beside the model that an interrupted training goes on from.

    Attributes:
        weights: State dict of the network in training; the model's weights are their average.
        optimiser: State of the optimiser.
        scaler: State of the loss scaling.
        history: Finished epochs.
        step: Optimiser steps.
        elapsed_s: Seconds of training.
        best_score: Best smoothed validation Dice.
        smoothed: Present smoothed validation Dice.
        is_best: The last epoch was the best.
        random: State of torch's random numbers.
    """

    weights: dict[str, Tensor]
    optimiser: dict[str, Any]
    scaler: dict[str, Any]
    history: tuple[Epoch, ...]
    step: int
    elapsed_s: float
    best_score: float
    smoothed: float | None
    is_best: bool
    random: Tensor

    def to_plain(self) -> dict[str, Any]:
        """Form for a file: tensors, numbers, lists and dicts."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**plain, "history": [to_plain(epoch) for epoch in self.history]}

    @staticmethod
    def from_plain(plain: dict[str, Any], where: str) -> TrainingState:
        """Inverse of `to_plain`.

        Raises:
            SchemaError: Something is missing or of another type.
        """
        names = {item.name for item in fields(TrainingState)}
        if not isinstance(plain, dict) or set(plain) != names:
            raise SchemaError(f"{where}: is not complete. Start the training with --overwrite.")
        history = tuple(
            from_plain(Epoch, row, f"{where}: history[{index}]")
            for index, row in enumerate(plain["history"])
        )
        return TrainingState(**{**plain, "history": history})


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained network.

    Attributes:
        configuration: Everything that prediction needs to know.
        weights: State dict.
        provenance: Where it comes from.
        training: State of the training, for `--resume`; None in finished models.
    """

    configuration: Configuration
    weights: dict[str, Tensor]
    provenance: Provenance
    training: TrainingState | None = None

    def build(self) -> nn.Module:
        """Builds the network with its weights, in evaluation mode.

        Raises:
            CheckpointError: The weights do not fit the configuration.
        """
        configuration = self.configuration
        network = build_network(
            configuration.network, configuration.in_channels, configuration.labels.num_outputs
        )
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"The weights do not fit the plan: {reason}") from None
        return network.eval()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a model file atomically."""
    plain = {
        "kind": KIND,
        "schema": SCHEMA_VERSION,
        "autoseg_version": __version__,
        "configuration": to_plain(checkpoint.configuration),
        "weights": checkpoint.weights,
        "provenance": to_plain(checkpoint.provenance),
        "training": None if checkpoint.training is None else checkpoint.training.to_plain(),
    }
    with atomic_path(path) as temporary:
        torch.save(plain, temporary)


def read_safely(path: Path, allowed: Sequence[Any] = ()) -> Any:
    """Reads a file of torch; nothing in it is executed.

    Args:
        path: The file.
        allowed: Types besides torch's own that it may hold.

    Raises:
        CheckpointError: The file is missing, truncated or holds other objects.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file.")
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path}: holds Python objects that a model file must not hold; it was not loaded."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{path}: damaged or no model file ({reason}).") from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a model file; nothing in it is executed.

    Raises:
        CheckpointError: The file is missing, truncated, unsafe or no model of ours.
    """
    plain = read_safely(path)
    if not isinstance(plain, dict) or plain.get("kind") != KIND:
        raise CheckpointError(f"{path}: not a model file of autoseg.")
    if plain.get("schema") != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: schema {plain.get('schema')}, this version reads {SCHEMA_VERSION}. "
            f"It was made by autoseg {plain.get('autoseg_version')}."
        )
    state = plain.get("training")
    try:
        return Checkpoint(
            configuration=from_plain(Configuration, plain["configuration"], f"{path}: plan"),
            weights=plain["weights"],
            provenance=from_plain(Provenance, plain["provenance"], f"{path}: provenance"),
            training=TrainingState.from_plain(state, f"{path}: training") if state else None,
        )
    except SchemaError as error:
        raise CheckpointError(f"{error} It is damaged, or made by another version.") from None
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not a complete model file ({error}).") from None
