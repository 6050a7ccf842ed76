"""Axes along which labels have an order in all cases, as left and right organs have.

Some pair of labels is nearly always in order by chance where cases are few and labels many. So
the orders that are found are tested against chance: if no order meant anything, each case could
be mirrored along the axis without its being less likely.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from autoseg.schema.fingerprint import CaseRecord, Fingerprint
from autoseg.schema.orientation import Orientation, world_axes

MIN_SHIFT = 0.02
"""Share of the crop by which two labels must lie apart for their order to mean something."""
CONSISTENT = 0.95
"""Share of patients in which two labels must have the same order."""
CHANCE = 1e-3
"""Share of data sets without any order of which an axis may be taken for one that has an order.

A single pair of labels, or pairs that all say the same, must be in order in 13 of 13 patients.
"""
_SMALLEST = 1e-300

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LabelPair:
    """Two labels that lie apart along an axis.

    Attributes:
        labels: Their raw values, as text.
        patients: Patients who have both.
        agreeing: Patients in whom they have the more frequent order.
    """

    labels: tuple[str, str]
    patients: int
    agreeing: int


@dataclass(frozen=True, kw_only=True)
class AxisLayout:
    """How labels are ordered along an axis.

    Attributes:
        num_pairs: Pairs of labels that lie apart along it.
        num_ordered: Those of them that have the same order in nearly all patients.
        best: The pair whose order is least likely chance; None where no pair lies apart.
        chance: Upper bound of the probability that chance puts labels into such an order.
    """

    num_pairs: int
    num_ordered: int
    best: LabelPair | None
    chance: float

    @property
    def is_ordered(self) -> bool:
        """Whether chance does not explain the order."""
        return 3 * self.chance <= CHANCE  # three axes are tested


def axis_layouts(
    fingerprint: Fingerprint, groups: Mapping[str, str], orientation: Orientation | None
) -> tuple[AxisLayout, AxisLayout, AxisLayout]:
    """Tests the order of labels along each axis (z, y, x).

    Args:
        fingerprint: Has the labels' centres of every case.
        groups: Case → patient, whose cases count as one; others count by themselves.
        orientation: Axes as they are after all cases were turned to it; None for no turn.
    """
    names = sorted({value for record in fingerprint.cases.values() for value in record.labels})
    cases = sorted(fingerprint.cases, key=lambda case: groups.get(case, case))
    patients = [groups.get(case, case) for case in cases]
    starts = [
        index for index, name in enumerate(patients) if index == 0 or name != patients[index - 1]
    ]
    centres = np.array(
        [_centres(fingerprint.cases[case], names, orientation) for case in cases]
    ).reshape(len(cases), len(names), 3)
    found: tuple[list[LabelPair], ...] = ([], [], [])
    for index, name in enumerate(names[:-1]):
        shifts = _mean_shifts(centres, index, starts)
        for axis, pairs in enumerate(found):
            pairs.extend(_pairs_apart(name, names[index + 1 :], shifts[..., axis]))
    first, second, third = map(_test, found)
    return first, second, third


def _centres(
    record: CaseRecord, names: list[str], orientation: Orientation | None
) -> list[tuple[float, ...]]:
    """Centre of each label, NaN where the case does not have it; which end is 0 does not matter."""
    centres: list[tuple[float, ...]] = []
    for name in names:
        label = record.labels.get(name)
        if label is None:
            centres.append((math.nan,) * 3)
        elif orientation is None or record.dimensions == 2:
            centres.append(label.centroid)
        else:
            centres.append(tuple(label.centroid_lps[2 - axis] for axis in world_axes(orientation)))
    return centres


def _mean_shifts(centres: Floats, index: int, starts: list[int]) -> Floats:
    """How far the labels after one lie from it, mean over a patient's cases.

    Args:
        centres: [cases, labels, 3].
        index: The label.
        starts: First case of each patient.

    Returns:
        [patients, labels after it, 3]; NaN where the patient does not have both.
    """
    shifts = centres[:, index + 1 :] - centres[:, index : index + 1]
    known = ~np.isnan(shifts)
    total = np.add.reduceat(np.where(known, shifts, 0), starts, axis=0)
    counts = np.add.reduceat(known.astype(int), starts, axis=0)
    with np.errstate(invalid="ignore"):
        mean: Floats = total / counts
    return mean


def _pairs_apart(name: str, others: list[str], shifts: Floats) -> Iterator[LabelPair]:
    """The pairs of a label with others that lie apart: shifts are [patients, others]."""
    counts = (~np.isnan(shifts)).sum(0)
    agreeing = np.maximum((shifts > 0).sum(0), (shifts < 0).sum(0))
    apart = np.nansum(np.abs(shifts), axis=0) >= MIN_SHIFT * counts
    for position in np.flatnonzero(apart & (counts > 0)).tolist():
        yield LabelPair(
            labels=(name, others[position]),
            patients=int(counts[position]),
            agreeing=int(agreeing[position]),
        )


def _test(pairs: list[LabelPair]) -> AxisLayout:
    """Whether chance explains how many pairs are in order.

    Were all orders chance, each pair would add 1 to the expected evidence, however much pairs
    depend on each other; by Markov's inequality, more than that is as rare as it is large. Pairs
    that all say the same thus make up for their number.
    """
    evidence, num_ordered = 0.0, 0
    for pair in pairs:
        needed = math.ceil(CONSISTENT * pair.patients)
        if pair.agreeing >= needed:
            num_ordered += 1
            evidence += 1 / _chance(pair.patients, needed)
    best = min(pairs, key=lambda pair: _chance(pair.patients, pair.agreeing), default=None)
    return AxisLayout(
        num_pairs=len(pairs),
        num_ordered=num_ordered,
        best=best,
        chance=min(1.0, len(pairs) / evidence) if evidence else 1.0,
    )


@lru_cache(maxsize=4096)
def _chance(count: int, agreeing: int) -> float:
    """Probability that as many of some patients or more agree in a pair's order by chance."""
    tail = sum(math.comb(count, number) for number in range(agreeing, count + 1))
    half: int = 2 ** (count - 1)
    return max(min(1.0, tail / half), _SMALLEST)
