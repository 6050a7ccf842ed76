"""Predicts images with one or several models, which stay loaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch

from autoseg.checkpoint import Checkpoint
from autoseg.costs import prediction_memory
from autoseg.errors import ImageError, UsageError
from autoseg.images.faults import image_faults
from autoseg.images.files import from_sitk, read_case, to_sitk, write_labels
from autoseg.inference.models import Model, find_models, load_models
from autoseg.inference.network import LoadedNetwork, Options, load_network
from autoseg.inference.network_source import SumsOverflowError
from autoseg.inference.plausibility import implausible
from autoseg.inference.previous_stages import CaseWork, network_source
from autoseg.inference.region_of_interest import RegionOfInterest
from autoseg.inference.streaming import decisions
from autoseg.inference.streaming.label_map import (
    Part,
    assemble_labels,
    assemble_probabilities,
    find_windows,
)
from autoseg.preprocessing.case import PreprocessedCase, preprocess_array, to_image
from autoseg.schema.geometry import Geometry

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
Inputs = dict[str, PreprocessedCase]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Result for one image.

    Attributes:
        labels: [z, y, x] raw label values on the image's grid.
        probabilities: [channels, z, y, x] float32, or None where nobody asked.
        geometry: Geometry of the image.
    """

    labels: npt.NDArray[np.integer]
    probabilities: Floats | None
    geometry: Geometry

    def to_sitk(self) -> sitk.Image:
        """The label map as a SimpleITK image."""
        return to_sitk(self.labels, self.geometry)

    def save(self, path: Path | str) -> None:
        """Writes the label map; the ending chooses the format."""
        write_labels(Path(path), self.labels, self.geometry)


class Predictor:
    """Predicts images with the average of its models.

    Models with the same preprocessing are averaged as logits on the network's grid, different
    ones as probabilities on the image's grid. Earlier stages are predicted first. No array of all
    classes at the image's resolution is made unless probabilities are asked for.

    Args:
        models: Models, or checkpoints that need no other model.
        options: How to predict.
        region: Where to look, found by a coarse model; None predicts whole images.

    Raises:
        UsageError: The models do not have the same labels and channels, or an earlier stage is
            missing.
    """

    def __init__(
        self,
        models: Sequence[Model | Checkpoint],
        options: Options,
        region: RegionOfInterest | None = None,
    ) -> None:
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
        self.options = options
        self.labels = first.labels
        self.num_channels = len(first.channels)
        self.region = region
        self._groups: dict[str, list[LoadedNetwork]] = {}
        for network in networks:
            self._groups.setdefault(network.key, []).append(network)
        needed = [part for network in networks for part in network.needed()]
        # Later stages want more of a preprocessed case, so theirs are kept where keys are equal.
        needed.sort(key=lambda part: part.configuration.previous is not None)
        self._configurations = {part.key: part.configuration for part in needed}
        self._said = Lock()

    @classmethod
    def load(cls, *paths: Path | str, **options: Any) -> Predictor:
        """Loads models: files, run folders, workspaces, or result folders of nnU-Net.

        Args:
            paths: Where they are.
            options: Fields of `Options`.
        """
        files = [item for path in paths for item in find_models(Path(path))]
        return cls(load_models(files), Options(**options))

    def predict(
        self,
        image: Path | str | sitk.Image | Sequence[Path | str | sitk.Image],
        *,
        probabilities: bool = False,
    ) -> Prediction:
        """Predicts an image, a file or a SimpleITK image, or one of each per channel.

        Args:
            image: The image; several channels are a sequence, or one image with them inside.
            probabilities: Return them too.

        Raises:
            ImageError: A file cannot be read, or the number of channels is not the model's.
        """
        parts = [image] if isinstance(image, (str, Path, sitk.Image)) else list(image)
        if all(isinstance(part, sitk.Image) for part in parts):
            array, geometry = from_sitk([part for part in parts if isinstance(part, sitk.Image)])
        else:
            files = [Path(part) for part in parts if not isinstance(part, sitk.Image)]
            if len(files) < len(parts):
                raise UsageError("Give files or SimpleITK images, not both for one case.")
            array, geometry = read_case(
                tuple(files), num_channels=self.num_channels, warn=logger.warning
            )
        return self._predict_read(array, geometry, probabilities)

    def predict_array(
        self, image: Floats, geometry: Geometry, *, probabilities: bool = False
    ) -> Prediction:
        """Predicts an image that is in memory.

        Args:
            image: [c, z, y, x] float32.
            geometry: Its geometry.
            probabilities: Return them too.

        Raises:
            ImageError: It cannot be used, or the number of channels is not the model's.
        """
        faults = image_faults(image, geometry, Path("image"))
        if image.shape[1:] != geometry.shape:
            faults.append(f"image: shape {image.shape[1:]}, its geometry has {geometry.shape}.")
        if faults:
            raise ImageError("\n".join(faults))
        return self._predict_read(image, geometry, probabilities)

    def _predict_read(self, image: Floats, geometry: Geometry, probabilities: bool) -> Prediction:
        target = None
        if probabilities:
            target = np.zeros((self.labels.num_outputs, *geometry.shape), dtype=np.float32)
        part, part_geometry, box = self.locate(image, geometry)
        inputs = self.preprocess(part, part_geometry)
        return self.predict_inputs(inputs, geometry, box, target)

    def check_memory(self) -> None:
        """Refuses before an image is read what no image would change.

        Raises:
            InputError: The models do not fit the memory.
        """
        device = torch.device(self.options.device)
        prediction_memory.check_model(device, self.options.memory_bytes, self._forward_bytes())

    def locate(
        self, image: Floats, geometry: Geometry
    ) -> tuple[Floats, Geometry, tuple[slice, slice, slice] | None]:
        """The part of an image that is predicted.

        Returns:
            The part, its geometry and where it lies; None for the whole image.
        """
        if self.region is None:
            return image, geometry, None
        box = self.region.find(image, geometry)
        return image[(slice(None), *box)], geometry.cropped(box), box

    def preprocess(self, image: Floats, geometry: Geometry, name: str = "image") -> Inputs:
        """The image as each configuration wants it, by `store_key`."""
        prediction_memory.check_image(name, geometry, len(image), self.options.memory_bytes)
        self._say_orientation(geometry)
        odd = [implausible(image, geometry, item) for item in self._configurations.values()]
        for text in dict.fromkeys(text for texts in odd for text in texts):
            logger.warning("%s: %s", name, text)
        return {
            key: preprocess_array(image, geometry, configuration, name=name)
            for key, configuration in self._configurations.items()
        }

    def _say_orientation(self, geometry: Geometry) -> None:
        """Warns once where nobody knows how the training images were stored."""
        turned = all(item.orientation is not None for item in self._configurations.values())
        if geometry.dimensions == 3 and not turned and self._said.acquire(blocking=False):
            logger.warning(
                "The model does not say in which orientation its training images were stored; "
                "images are taken as they are (the first is %s). Where the training images were "
                "stored otherwise, left and right or other sides are swapped.",
                geometry.orientation(),
            )

    def predict_inputs(
        self,
        inputs: Mapping[str, PreprocessedCase],
        geometry: Geometry,
        box: tuple[slice, slice, slice] | None,
        target: Any,
    ) -> Prediction:
        """Predicts what `preprocess` made.

        Args:
            inputs: The preprocessed image.
            geometry: Geometry of the whole image.
            box: The part of it that was preprocessed, or None for all.
            target: Where the probabilities go: [channels, z, y, x] of the whole image, an array in
                memory or on disk; or None.
        """
        device, memory_bytes = torch.device(self.options.device), self.options.memory_bytes
        left = prediction_memory.left_for_sums(device, memory_bytes, self._forward_bytes())
        work = CaseWork(cases=inputs, memory_bytes=left)
        try:
            labels = self._predict_work(work, geometry, box, target)
        except SumsOverflowError:
            logger.info("Logits are too large for half precision; summed in float32 instead.")
            work = CaseWork(cases=inputs, memory_bytes=left, half_sums=False)
            labels = self._predict_work(work, geometry, box, target)
        found = target if isinstance(target, np.ndarray) else None
        return Prediction(labels=labels, probabilities=found, geometry=geometry)

    def _forward_bytes(self) -> int:
        """Memory of a pass through the largest network."""
        return max(
            network.forward_bytes(len(group))
            for group in self._groups.values()
            for network in group
        )

    def _predict_work(
        self,
        work: CaseWork,
        geometry: Geometry,
        box: tuple[slice, slice, slice] | None,
        target: Any,
    ) -> npt.NDArray[np.integer]:
        parts = [
            Part(
                source=network_source(group, work),
                restoration=to_image(work.cases[key].trace).placed(geometry.shape, box),
                weight=len(group),
            )
            for key, group in self._groups.items()
        ]
        windows = find_windows(parts, self.labels, work.memory_bytes)
        table = decisions.label_values(self.labels)
        if len(parts) == 1 and target is None:
            return assemble_labels(parts[0], self.labels, table, windows)
        return assemble_probabilities(parts, self.labels, table, windows, target)
