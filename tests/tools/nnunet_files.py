"""Our value objects from nnU-Net's files."""

from __future__ import annotations

from typing import Any

from autoseg.schema.dataset import Case, Dataset
from autoseg.schema.fingerprint import CaseRecord, Fingerprint
from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.schema.plan import IntensityStatistics


def case_name(index: int) -> str:
    """Name of a case whose name nnU-Net's fingerprint does not say."""
    return f"case_{index:03d}"


def dataset_of(
    name: str, channels: dict[str, str], labels: dict[str, int], num_cases: int
) -> Dataset:
    """A data set from the entries of a dataset.json, without files."""
    return Dataset(
        name=name,
        root=None,
        channel_names=tuple(channels.values()),
        labels=LabelScheme(
            classes=tuple(
                LabelClass(name=label, values=(value,)) for label, value in labels.items() if value
            )
        ),
        file_ending=".nii.gz",
        cases=tuple(Case(identifier=case_name(index), images=()) for index in range(num_cases)),
    )


def fingerprint_of(measured: dict[str, Any]) -> Fingerprint:
    """A fingerprint from a dataset_fingerprint.json."""
    statistics = tuple(
        IntensityStatistics(
            mean=item["mean"],
            median=item["median"],
            std=item["std"],
            minimum=item["min"],
            maximum=item["max"],
            percentile_00_5=item["percentile_00_5"],
            percentile_99_5=item["percentile_99_5"],
        )
        for item in measured["foreground_intensity_properties_per_channel"].values()
    )
    sizes = zip(measured["shapes_after_crop"], measured["spacings"], strict=True)
    records = {
        case_name(index): CaseRecord(
            shape=tuple(shape),
            shape_after_crop=tuple(shape),
            spacing_mm=tuple(spacing),
            dimensions=3,
            orientation="LPS",
            labels={},
            digest=str(index),
        )
        for index, (shape, spacing) in enumerate(sizes)
    }
    return Fingerprint(
        cases=records,
        intensities=statistics,
        relative_size_after_crop=measured["median_relative_size_after_cropping"],
        class_frequencies={},
        warnings=(),
        signature="",
    )
