"""The fingerprint: what was measured in a data set, case by case and over all cases."""

from __future__ import annotations

from dataclasses import dataclass

from autoseg.schema.orientation import Orientation
from autoseg.schema.plan import IntensityStatistics


@dataclass(frozen=True, kw_only=True)
class LabelRecord:
    """One label value in one case.

    Attributes:
        voxels: Number of voxels.
        volume_ml: Their volume.
        components: Number of connected components (26-neighbourhood, 8 in 2D).
        component_ml: Smallest, median and largest volume of a component.
        centroid: Centre of gravity as a fraction of the crop's axes (z, y, x), 0 … 1.
        centroid_lps: The same with the axes in LPS orientation.
    """

    voxels: int
    volume_ml: float
    components: int
    component_ml: tuple[float, float, float]
    centroid: tuple[float, float, float]
    centroid_lps: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class CaseRecord:
    """One case.

    Attributes:
        shape: Voxels (z, y, x).
        shape_after_crop: Voxels of the box of non-zero voxels.
        spacing_mm: Spacing (z, y, x).
        dimensions: 2 for a 2D image, else 3.
        orientation: Where x, y and z point to, for example LPS.
        labels: Raw value (as text) → measurements; absent labels are left out.
        digest: Hash of the voxels, to find cases that are there twice; empty for an image of one
            value.
    """

    shape: tuple[int, int, int]
    shape_after_crop: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    dimensions: int
    orientation: Orientation
    labels: dict[str, LabelRecord]
    digest: str


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """A data set in numbers.

    Attributes:
        cases: Case → measurements.
        intensities: Foreground statistics per channel, each case weighing the same.
        relative_size_after_crop: Median share of voxels that the crop keeps.
        class_frequencies: Raw value (as text) → share of all voxels.
        warnings: What is unusual but no error.
        signature: Identifies the files that were measured.
    """

    cases: dict[str, CaseRecord]
    intensities: tuple[IntensityStatistics, ...]
    relative_size_after_crop: float
    class_frequencies: dict[str, float]
    warnings: tuple[str, ...]
    signature: str
