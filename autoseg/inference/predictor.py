"""Predicts cases with one or several models, which stay loaded; files are read ahead."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from autoseg.checkpoint import Checkpoint
from autoseg.errors import AutosegError, UsageError
from autoseg.images import write_labels
from autoseg.inference.models import Model
from autoseg.inference.network import Known, LoadedNetwork, Options, load_network, mean_logits
from autoseg.preprocessing.case import (
    CaseTrace,
    PreprocessedCase,
    preprocess_array,
    preprocess_case,
    restore_prediction,
    restore_probabilities,
)
from autoseg.schema.dataset import Case
from autoseg.schema.geometry import Geometry
from autoseg.schema.serialise import atomic_path, remove_leftovers

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Result for one case.

    Attributes:
        labels: [z, y, x] raw label values on the image's grid.
        probabilities: [channels, z, y, x] float32, or None where nobody asked.
        geometry: Geometry of the image.
    """

    labels: npt.NDArray[np.integer]
    probabilities: Floats | None
    geometry: Geometry


@dataclass(kw_only=True)
class Report:
    """What became of the cases of a `predict_files` call.

    Attributes:
        written: Case → file.
        skipped: Cases that were there already.
        failed: Case → reason.
    """

    written: dict[str, Path] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class Predictor:
    """Predicts images with the average of its models.

    Models with the same preprocessing are averaged as logits on the network's grid, different
    ones as probabilities on the image's grid. Earlier stages are predicted first.

    Args:
        models: Models, or checkpoints that need no other model.
        options: How to predict.

    Raises:
        UsageError: The models do not have the same labels and channels, or an earlier stage is
            missing.
    """

    def __init__(self, models: Sequence[Model | Checkpoint], options: Options) -> None:
        if not models:
            raise UsageError("No model was given.")
        if not 0 < options.step <= 1:
            raise UsageError(f"--step {options.step}: expected a share of the tile, 0 < step ≤ 1.")
        loaded: dict[Path, LoadedNetwork] = {}
        networks = [
            load_network(
                model if isinstance(model, Model) else Model(checkpoint=model), options, loaded
            )
            for model in models
        ]
        first = networks[0].configuration
        for network in networks[1:]:
            other = network.configuration
            if other.labels != first.labels or len(other.channels) != len(first.channels):
                raise UsageError(
                    f"The models {first.name} and {other.name} have different labels or channels "
                    "and cannot be averaged."
                )
        self.labels = first.labels
        self.num_channels = len(first.channels)
        self._groups: dict[str, list[LoadedNetwork]] = {}
        for network in networks:
            self._groups.setdefault(network.key, []).append(network)
        self._configurations = {
            part.key: part.configuration for network in networks for part in network.needed()
        }

    def predict_array(
        self, image: Floats, geometry: Geometry, *, probabilities: bool = False
    ) -> Prediction:
        """Predicts an image that is in memory.

        Args:
            image: [c, z, y, x] float32.
            geometry: Its geometry.
            probabilities: Return them too.
        """
        inputs = {
            key: preprocess_array(image, geometry, configuration)
            for key, configuration in self._configurations.items()
        }
        return self._predict(inputs, probabilities)

    def predict_files(
        self,
        cases: Mapping[str, tuple[Path, ...]],
        targets: Mapping[str, Path],
        *,
        probabilities: bool = False,
        resume: bool = False,
        workers: int = 1,
    ) -> Report:
        """Predicts files; reading and writing overlap with the network's work.

        Args:
            cases: Case → image files.
            targets: Case → label map to write.
            probabilities: Also write the probabilities beside it, as .npz.
            resume: Skip cases whose label map is there.
            workers: Threads that read ahead.

        Returns:
            What became of the cases; a failing case does not stop the others.
        """
        report = Report()
        for folder in {path.parent for path in targets.values()}:
            remove_leftovers(folder)
        todo = {}
        for name, files in cases.items():
            if resume and targets[name].exists():
                report.skipped.append(name)
            else:
                todo[name] = files
        with (
            ThreadPoolExecutor(1) as writer,
            tqdm(total=len(todo), desc="Predicting", unit="case", disable=None) as bar,
        ):
            writing: dict[str, Future[None]] = {}
            for name, loaded in self._read_ahead(todo, workers):
                try:
                    prediction = self._predict(loaded.result(), probabilities)
                    writing[name] = writer.submit(_write, targets[name], prediction)
                except (AutosegError, RuntimeError, MemoryError, OSError) as error:
                    report.failed[name] = str(error) or type(error).__name__
                bar.update()
            for name, future in writing.items():
                try:
                    future.result()
                    report.written[name] = targets[name]
                except (AutosegError, RuntimeError, MemoryError, OSError) as error:
                    report.failed[name] = str(error) or type(error).__name__
        for name, reason in report.failed.items():
            logger.error("Case '%s' failed: %s", name, reason)
        return report

    def _read_ahead(
        self, cases: Mapping[str, tuple[Path, ...]], workers: int
    ) -> Iterator[tuple[str, Future[dict[str, PreprocessedCase]]]]:
        """Preprocesses some cases ahead of their turn."""
        with ThreadPoolExecutor(max(1, workers)) as readers:
            waiting: list[tuple[str, Future[dict[str, PreprocessedCase]]]] = []
            for name, files in cases.items():
                waiting.append((name, readers.submit(self._load, name, files)))
                if len(waiting) > max(1, workers):
                    yield waiting.pop(0)
            yield from waiting

    def _load(self, name: str, files: tuple[Path, ...]) -> dict[str, PreprocessedCase]:
        case = Case(identifier=name, images=files)
        return {
            key: preprocess_case(case, configuration)
            for key, configuration in self._configurations.items()
        }

    def _predict(self, inputs: Mapping[str, PreprocessedCase], probabilities: bool) -> Prediction:
        known: Known = {}
        logits = {key: mean_logits(group, inputs, known) for key, group in self._groups.items()}
        traces = {key: inputs[key].trace for key in logits}
        geometry = next(iter(traces.values())).geometry
        if len(logits) == 1:
            (key,) = logits
            return Prediction(
                labels=restore_prediction(logits[key], traces[key], self.labels),
                probabilities=restore_probabilities(logits[key], traces[key], self.labels)
                if probabilities
                else None,
                geometry=geometry,
            )
        mean = self._mean_probabilities(logits, traces)
        return Prediction(
            labels=self._decide(mean),
            probabilities=mean if probabilities else None,
            geometry=geometry,
        )

    def _mean_probabilities(
        self, logits: Mapping[str, Floats], traces: Mapping[str, CaseTrace]
    ) -> Floats:
        total: Floats | None = None
        weight = 0
        for key, values in logits.items():
            part = restore_probabilities(values, traces[key], self.labels) * len(self._groups[key])
            total = part if total is None else total + part
            weight += len(self._groups[key])
        assert total is not None
        return total / np.float32(weight)

    def _decide(self, probabilities: Floats) -> npt.NDArray[np.integer]:
        if self.labels.regions_order is None:
            return self.labels.decode(probabilities.argmax(axis=0))
        result = np.zeros(probabilities.shape[1:], dtype=self.labels.output_dtype())
        for part, value in zip(probabilities, self.labels.regions_order, strict=True):
            result[part > 0.5] = value
        return result


def _write(target: Path, prediction: Prediction) -> None:
    """Writes the probabilities first: a label map that is there means that the case is done."""
    if prediction.probabilities is not None:
        with atomic_path(probabilities_path(target)) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, probabilities=prediction.probabilities.astype(np.float16))
    write_labels(target, prediction.labels, prediction.geometry)


def probabilities_path(target: Path) -> Path:
    """Where the probabilities of a label map are written."""
    name = target.name
    for ending in (".nii.gz", target.suffix):
        if name.endswith(ending):
            return target.with_name(name[: -len(ending)] + ".npz")
    return target.with_name(name + ".npz")


def existing(targets: Iterable[Path]) -> list[Path]:
    """Those of the files that are there."""
    return [path for path in targets if path.exists()]
