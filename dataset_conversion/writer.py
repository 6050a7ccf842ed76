"""Writes a data set in nnU-Net's raw format, case by case."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk


class DatasetWriter:
    """Collects cases; `finish` writes dataset.json, without which the folder is no data set.

    Args:
        root: Folder to make; it must not hold a data set.
        channel_names: Channels in order.
        labels: Name → value, or values of a region; "background" is 0.
        file_ending: Ending of all files.
        raters: Names of raters, where several outlined each case.

    Raises:
        FileExistsError: The folder holds a data set already.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        channel_names: Sequence[str],
        labels: Mapping[str, int | Sequence[int]],
        file_ending: str = ".nii.gz",
        raters: Sequence[str] = (),
        regions_class_order: Sequence[int] | None = None,
    ) -> None:
        self.root = Path(root)
        if (self.root / "dataset.json").exists():
            raise FileExistsError(f"{root}: holds a data set already. Choose another folder.")
        self.channel_names = tuple(channel_names)
        self.labels = labels
        self.file_ending = file_ending
        self.raters = tuple(raters)
        self.regions_class_order = regions_class_order
        self._cases: set[str] = set()

    def add(
        self,
        case: str,
        channels: Sequence[npt.NDArray[np.generic] | sitk.Image],
        label: npt.NDArray[np.integer] | sitk.Image | None = None,
        *,
        raters: Mapping[str, npt.NDArray[np.integer] | sitk.Image] | None = None,
        spacing_mm: Sequence[float] | None = None,
    ) -> None:
        """Writes one case.

        Args:
            case: Identifier.
            channels: One image per channel: [z, y, x] or [y, x] arrays, or SimpleITK images.
            label: Label map.
            raters: Label map per rater.
            spacing_mm: Spacing of arrays, in their axis order.

        Raises:
            ValueError: The case is there already, or channels are missing.
        """
        if case in self._cases:
            raise ValueError(f"The case '{case}' was added already.")
        if len(channels) != len(self.channel_names):
            raise ValueError(
                f"Case '{case}' has {len(channels)} channels, expected {len(self.channel_names)}."
            )
        self._cases.add(case)
        for index, channel in enumerate(channels):
            name = f"{case}_{index:04d}{self.file_ending}"
            self._write(self.root / "imagesTr" / name, channel, spacing_mm)
        if label is not None:
            self._write(self.root / "labelsTr" / f"{case}{self.file_ending}", label, spacing_mm)
        for rater, outlined in (raters or {}).items():
            path = self.root / "ratersTr" / rater / f"{case}{self.file_ending}"
            self._write(path, outlined, spacing_mm)

    def finish(self) -> Path:
        """Writes dataset.json and returns its path."""
        description: dict[str, object] = {
            "channel_names": {str(index): name for index, name in enumerate(self.channel_names)},
            "labels": {
                name: value if isinstance(value, int) else list(value)
                for name, value in self.labels.items()
            },
            "numTraining": len(self._cases),
            "file_ending": self.file_ending,
        }
        if self.raters:
            description["raters"] = list(self.raters)
        if self.regions_class_order is not None:
            description["regions_class_order"] = list(self.regions_class_order)
        path = self.root / "dataset.json"
        temporary = path.with_name(".partial-dataset.json")
        temporary.write_text(json.dumps(description, indent=1), encoding="utf-8")
        os.replace(temporary, path)
        return path

    def _write(
        self,
        path: Path,
        image: npt.NDArray[np.generic] | sitk.Image,
        spacing_mm: Sequence[float] | None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(image, sitk.Image):
            image = sitk.GetImageFromArray(image)
            if spacing_mm is not None:
                image.SetSpacing(tuple(float(value) for value in reversed(spacing_mm)))
        sitk.WriteImage(image, str(path), useCompression=True)
