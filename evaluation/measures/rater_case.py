"""One class of one case as several raters outlined it, with a prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evaluation.measures.staple import patterns, staple

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Soft:
    """Probabilities of a class in the box of a `RaterCase`, and what lies outside.

    Attributes:
        inside: Probabilities in the box.
        volume_voxels: Sum of all probabilities of the image.
        exceeding: For the thresholds of `levels`, the voxels of the image above each.
        levels: Thresholds, ascending.
    """

    inside: npt.NDArray[np.floating]
    volume_voxels: float
    exceeding: npt.NDArray[np.int64]
    levels: npt.NDArray[np.float64]


LEVELS = np.linspace(0, 1, 101)
"""Thresholds at which the volume above is counted."""


def make_soft(values: npt.NDArray[np.floating], box: tuple[slice, ...] | None = None) -> Soft:
    """Sums over the probabilities of a class, and their part in a box.

    Args:
        values: Probabilities of the whole image.
        box: Part to keep; None: all of it.
    """
    steps = len(LEVELS) - 1
    above = np.zeros(steps + 2, dtype=np.int64)
    volume = 0.0
    flat = values.ravel()
    for start in range(0, flat.size, 1 << 22):
        part = flat[start : start + (1 << 22)].astype(np.float64)
        # A value lies above all levels below the next multiple of the step.
        place = np.clip(np.ceil(part * steps), 0, steps).astype(np.intp)
        above += np.bincount(place, minlength=steps + 2)
        volume += float(part.sum())
    return Soft(
        inside=values if box is None else values[box],
        volume_voxels=volume,
        exceeding=above[::-1].cumsum()[::-1][1:],
        levels=LEVELS,
    )


class RaterCase:
    """Masks of one class: several raters', one of a prediction, and its probabilities.

    Args:
        raters: Masks of the raters, at least one.
        prediction: The prediction's mask; None where only the raters are compared.
        soft: Probabilities of the class, where they are known.
        size: Voxels of the whole image (the masks may be cut to a box that holds them all).
        voxel_ml: Volume of a voxel.
    """

    def __init__(
        self,
        raters: Sequence[Mask],
        prediction: Mask | None = None,
        *,
        soft: Soft | None = None,
        size: int | None = None,
        voxel_ml: float = 0.001,
    ) -> None:
        self.raters = np.stack(list(raters))
        if prediction is not None and prediction.shape != self.raters.shape[1:]:
            raise ValueError(
                f"shapes differ: raters {self.raters.shape[1:]}, prediction {prediction.shape}"
            )
        self.prediction, self.soft, self.voxel_ml = prediction, soft, voxel_ml
        self.outside = (size if size is not None else self.raters[0].size) - self.raters[0].size

    @cached_property
    def volumes_ml(self) -> npt.NDArray[np.float64]:
        """[r] volume of each rater's mask."""
        axes = tuple(range(1, self.raters.ndim))
        counts = np.count_nonzero(self.raters, axis=axes)
        return np.asarray(counts * self.voxel_ml, dtype=np.float64)

    @cached_property
    def votes(self) -> npt.NDArray[np.int64]:
        """Raters who marked each voxel of the box."""
        return np.asarray(self.raters.sum(axis=0), dtype=np.int64)

    @property
    def consensus(self) -> Mask:
        """Voxels that all raters marked."""
        return np.asarray(self.votes == len(self.raters))

    @property
    def dissensus(self) -> Mask:
        """Voxels that some raters marked and others did not."""
        return np.asarray((self.votes > 0) & (self.votes < len(self.raters)))

    @property
    def majority(self) -> Mask:
        """Voxels that at least half of the raters marked (a tie is foreground)."""
        return np.asarray(2 * self.votes >= len(self.raters))

    @cached_property
    def staple(self) -> Mask:
        """Voxels with a STAPLE probability of at least one half."""
        return np.asarray(staple(self.raters, self.outside) >= 0.5)

    def pattern_counts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Patterns of votes and the voxels of the image that have them."""
        codes, counts, _ = patterns(self.raters, self.outside)
        return codes, counts

    @property
    def predicted_volume_ml(self) -> float:
        """Volume of the probabilities, or of the mask where there are none; nan without either."""
        if self.soft is not None:
            return self.soft.volume_voxels * self.voxel_ml
        if self.prediction is not None:
            return int(np.count_nonzero(self.prediction)) * self.voxel_ml
        return math.nan
