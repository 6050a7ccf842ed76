"""Data sets and machines that are made up, to plan for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoseg.costs.machine import PROCESS_BYTES
from autoseg.planning.budget import Budget
from autoseg.planning.network_size import work_of
from autoseg.schema.dataset import Case, Dataset
from autoseg.schema.fingerprint import CaseRecord, Fingerprint, LabelRecord
from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.schema.plan import Configuration, IntensityStatistics

GIGABYTE = 2**30
BUDGET = Budget(device="cpu", memory_bytes=16 * GIGABYTE, time_s=None)


def work_bytes(configuration: Configuration) -> int:
    """Memory on a machine on which every unit of work takes 20 bytes."""
    return int(PROCESS_BYTES["cpu"] + 20 * work_of(configuration))


@dataclass(frozen=True, kw_only=True)
class MadeUpCosts:
    """Costs by a rule.

    Attributes:
        seconds: Seconds of a step, all or per unit of work where it is a number.
        memory: Memory of a training.
    """

    seconds: float | Callable[[Configuration], float] = 0.1
    memory: Callable[[Configuration], int] = work_bytes

    def step_s(self, configuration: Configuration) -> float:
        """Seconds of a training step."""
        if callable(self.seconds):
            return self.seconds(configuration)
        return self.seconds * work_of(configuration)

    def memory_bytes(self, configuration: Configuration) -> int:
        """Memory of the process that trains it."""
        return self.memory(configuration)


def made_up(
    shape=(40, 56, 40),
    spacing=(1.0, 1.0, 1.0),
    *,
    cases=20,
    orientations=("LPS",),
    centres=lambda index: {},
    names="c{}",
):
    """A data set with equal cases.

    Args:
        shape: Voxels of each.
        spacing: Spacing of each.
        cases: How many.
        orientations: Of the first, the second, … case, then from the start.
        centres: Number of a case → label value → centre (z, y, x) as a share of the crop.
        names: Pattern of the cases' names.
    """
    records = {
        names.format(index): CaseRecord(
            shape=shape,
            shape_after_crop=shape,
            spacing_mm=spacing,
            dimensions=2 if shape[0] == 1 else 3,
            orientation=orientations[index % len(orientations)],
            labels={value: label_at(centre) for value, centre in centres(index).items()},
            digest=str(index),
        )
        for index in range(cases)
    }
    dataset = Dataset(
        name="made_up",
        root=None,
        channel_names=("MRI",),
        labels=LabelScheme(classes=(LabelClass(name="a", values=(1,)),)),
        file_ending=".nii.gz",
        cases=tuple(Case(identifier=name, images=()) for name in records),
    )
    statistics = IntensityStatistics(
        mean=0, median=0, std=1, minimum=0, maximum=1, percentile_00_5=0, percentile_99_5=1
    )
    fingerprint = Fingerprint(
        cases=records,
        intensities=(statistics,),
        relative_size_after_crop=1.0,
        class_frequencies={},
        warnings=(),
        signature="",
    )
    return dataset, fingerprint


def label_at(centre) -> LabelRecord:
    """A label of a large object with its centre there, whatever the orientation."""
    return LabelRecord(
        voxels=1000,
        volume_ml=100.0,
        components=1,
        component_ml=(100.0, 100.0, 100.0),
        centroid=tuple(centre),
        centroid_lps=tuple(centre),
    )
