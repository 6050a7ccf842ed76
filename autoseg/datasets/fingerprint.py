"""The fingerprint of a data set, made together with its check in one pass over the files."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

from autoseg.datasets.duplicates import find_duplicates
from autoseg.datasets.examination import Examination, Examine, Foreground
from autoseg.datasets.groups import find_groups
from autoseg.errors import DatasetError
from autoseg.parallel import map_unordered
from autoseg.schema.dataset import Case, Dataset
from autoseg.schema.fingerprint import CaseRecord, Fingerprint
from autoseg.schema.orientation import turn
from autoseg.schema.plan import IntensityStatistics

logger = logging.getLogger(__name__)

ODD_SPACING = 10.0
"""How much finer or coarser than in most cases a spacing may be."""


def make_fingerprint(
    dataset: Dataset,
    *,
    workers: int,
    errors: Sequence[str] = (),
    warnings: Sequence[str] = (),
    groups: Mapping[str, Hashable] | None = None,
) -> Fingerprint:
    """Checks and measures all cases.

    Args:
        dataset: The data set.
        workers: Processes.
        errors: Faults that are known already; they are reported together with the new ones.
        warnings: Likewise.
        groups: Case → what it shares with those that no fold parts it from; None finds patients
            in the names.

    Raises:
        DatasetError: All faults of all cases.
    """
    examine = Examine(channel_names=dataset.channel_names, labels=dataset.labels)
    # Large files first: the last worker to finish then has little left to do.
    cases = sorted(dataset.cases, key=_file_size, reverse=True)
    found: dict[str, Examination] = {
        case.identifier: examination
        for case, examination in map_unordered(
            examine, cases, workers=workers, description="Checking and measuring"
        )
    }
    ordered = {case.identifier: found[case.identifier] for case in dataset.cases}
    faults = [
        *errors,
        *(fault for examined in ordered.values() for fault in examined.errors),
    ]
    records = {
        name: examined.record for name, examined in ordered.items() if examined.record is not None
    }
    if groups is None:
        groups = find_groups(list(ordered)).groups
    duplicates, repeated = find_duplicates(dataset.cases, records, groups)
    faults += duplicates
    if not faults and not any(record.labels for record in records.values()):
        faults.append(f"{dataset.root}: no case has any foreground; there is nothing to learn.")
    if faults:
        raise DatasetError(faults)
    notes = [
        *warnings,
        *(note for examined in ordered.values() for note in examined.warnings),
    ]
    notes += [*repeated, *_oddities(dataset, records)]
    for note in notes:
        logger.warning(note)
    return Fingerprint(
        cases=records,
        intensities=_intensities([examined.foreground for examined in ordered.values()], dataset),
        relative_size_after_crop=float(
            np.median(
                [
                    np.prod(record.shape_after_crop) / np.prod(record.shape)
                    for record in records.values()
                ]
            )
        ),
        class_frequencies=_frequencies(dataset, records.values()),
        warnings=tuple(notes),
        signature=signature(dataset),
    )


def signature(dataset: Dataset) -> str:
    """Hash over names, sizes and times of all files and over what dataset.json says."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((dataset.channel_names, dataset.labels, dataset.file_ending)).encode())
    for case in dataset.cases:
        for path in (*case.images, *case.annotations):
            status = path.stat()
            digest.update(f"{path}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _file_size(case: Case) -> int:
    return sum(path.stat().st_size for path in case.images if path.exists())


def _oddities(dataset: Dataset, records: dict[str, CaseRecord]) -> list[str]:
    notes = []
    for item in dataset.labels.classes:
        present = [
            name
            for name, record in records.items()
            if any(str(value) in record.labels for value in item.values)
        ]
        if not present:
            notes.append(f"{dataset.root}: no case has the class '{item.name}'.")
    orientations = sorted({record.orientation for record in records.values()})
    if len(orientations) > 1:
        notes.append(
            f"{dataset.root}: the cases have different orientations ({', '.join(orientations)}); "
            "the planner 'auto' turns all of them to LPS."
        )
    notes += _odd_spacings(dataset, records)
    if len({record.dimensions for record in records.values()}) > 1:
        notes.append(f"{dataset.root}: 2D and 3D images are mixed.")
    return notes


def _odd_spacings(dataset: Dataset, records: dict[str, CaseRecord]) -> list[str]:
    """Cases whose spacing is so far from that of most that it is hardly in millimetres."""
    if not records:
        return []
    turned = {
        name: [record.spacing_mm[axis] for axis in _lps_order(record)]
        for name, record in records.items()
    }
    median = np.median(list(turned.values()), axis=0)
    files = {case.identifier: case.images[0] for case in dataset.cases}
    return [
        f"{files[name]}: its spacing is {_listed(spacing)} mm (along up, back, left), that of most "
        f"cases about {_listed(median)}. Is it in millimetres?"
        for name, spacing in turned.items()
        if (np.maximum(spacing / median, median / spacing) > ODD_SPACING).any()
    ]


def _lps_order(record: CaseRecord) -> tuple[int, int, int]:
    return turn(record.orientation, "LPS")[0] if record.dimensions == 3 else (0, 1, 2)


def _listed(values: Iterable[float]) -> str:
    return " × ".join(f"{value:.3g}" for value in values)


def _intensities(
    cases: Iterable[list[Foreground]], dataset: Dataset
) -> tuple[IntensityStatistics, ...]:
    with_foreground = [channels for channels in cases if channels]
    statistics = []
    for index in range(len(dataset.channel_names)):
        channel = [channels[index] for channels in with_foreground]
        pooled = np.concatenate([item.quantiles for item in channel])
        low, median, high = np.percentile(pooled, [0.5, 50, 99.5])
        mean = float(np.mean([item.mean for item in channel]))
        variance = float(np.mean([item.square for item in channel])) - mean**2
        statistics.append(
            IntensityStatistics(
                mean=mean,
                median=float(median),
                std=float(np.sqrt(max(variance, 0))),
                minimum=min(item.minimum for item in channel),
                maximum=max(item.maximum for item in channel),
                percentile_00_5=float(low),
                percentile_99_5=float(high),
            )
        )
    return tuple(statistics)


def _frequencies(dataset: Dataset, records: Iterable[CaseRecord]) -> dict[str, float]:
    records = list(records)
    total = sum(float(np.prod(record.shape_after_crop)) for record in records)
    return {
        str(value): sum(
            record.labels[str(value)].voxels for record in records if str(value) in record.labels
        )
        / total
        for value in dataset.labels.foreground_values
    }
