"""One class of one case as several raters outlined it, with a prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evaluation.measures.staple import staple_mask

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


def make_soft(
    values: npt.NDArray[np.floating],
    box: tuple[slice, ...] | None = None,
    counted: Mask | None = None,
) -> Soft:
    """Sums over the probabilities of a class, and their part in a box.

    Args:
        values: Probabilities of the whole image.
        box: Part to keep; None: all of it.
        counted: Voxels of the whole image that are summed up; None: all.
    """
    steps = len(LEVELS) - 1
    above = np.zeros(steps + 2, dtype=np.int64)
    volume = 0.0
    flat = values.ravel()
    for start in range(0, flat.size, 1 << 22):
        part = flat[start : start + (1 << 22)].astype(np.float64)
        if counted is not None:
            part = part[counted.ravel()[start : start + (1 << 22)]]
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

    A voxel that a rater did not look at does not count where his mask is compared, and he has no
    vote there; where all raters' volumes are compared only voxels count that all looked at.

    Args:
        raters: Masks of the raters, at least one.
        prediction: The prediction's mask; None where only the raters are compared.
        unknown: [r, …] voxels that a rater did not look at; None: everybody looked at all.
        soft: Probabilities of the class, where they are known, summed up over `all_known`.
        size: Voxels of the whole image. The masks may be cut to a box that holds them all and
            every voxel that somebody did not look at.
        voxel_ml: Volume of a voxel.
    """

    def __init__(
        self,
        raters: Sequence[Mask],
        prediction: Mask | None = None,
        *,
        unknown: Mask | None = None,
        soft: Soft | None = None,
        size: int | None = None,
        voxel_ml: float = 0.001,
    ) -> None:
        self.unknown = unknown
        self.raters = np.stack(list(raters))
        if unknown is not None:
            self.raters = self.raters & ~unknown
        if prediction is not None and prediction.shape != self.raters.shape[1:]:
            raise ValueError(
                f"shapes differ: raters {self.raters.shape[1:]}, prediction {prediction.shape}"
            )
        self.prediction, self.soft, self.voxel_ml = prediction, soft, voxel_ml
        self.outside = (size if size is not None else self.raters[0].size) - self.raters[0].size

    def seen_by(self, mask: Mask, *raters: int) -> Mask:
        """A mask without the voxels that one of the raters did not look at."""
        if self.unknown is None:
            return mask
        return np.asarray(mask & ~self.unknown[list(raters)].any(axis=0))

    def pair(self, first: int, second: int) -> tuple[Mask, Mask]:
        """Masks of two raters where both looked."""
        return (
            self.seen_by(self.raters[first], second),
            self.seen_by(self.raters[second], first),
        )

    @cached_property
    def lookers(self) -> npt.NDArray[np.int64] | int:
        """Raters who looked at each voxel of the box."""
        if self.unknown is None:
            return len(self.raters)
        return np.asarray(len(self.raters) - self.unknown.sum(axis=0), dtype=np.int64)

    @cached_property
    def known(self) -> Mask:
        """Voxels of the box that a rater looked at."""
        return np.broadcast_to(np.asarray(self.lookers) > 0, self.raters.shape[1:])

    @cached_property
    def all_known(self) -> Mask:
        """Voxels of the box that all raters looked at."""
        return np.broadcast_to(np.asarray(self.lookers) == len(self.raters), self.raters.shape[1:])

    @cached_property
    def known_prediction(self) -> Mask | None:
        """The prediction where a rater looked."""
        if self.prediction is None or self.unknown is None:
            return self.prediction
        return np.asarray(self.prediction & self.known)

    @cached_property
    def volumes_ml(self) -> npt.NDArray[np.float64]:
        """[r] volume of each rater's mask."""
        axes = tuple(range(1, self.raters.ndim))
        masks = self.raters if self.unknown is None else self.raters & self.all_known
        counts = np.count_nonzero(masks, axis=axes)
        return np.asarray(counts * self.voxel_ml, dtype=np.float64)

    @cached_property
    def votes(self) -> npt.NDArray[np.int64]:
        """Raters who marked each voxel of the box."""
        return np.asarray(self.raters.sum(axis=0), dtype=np.int64)

    @cached_property
    def share(self) -> npt.NDArray[np.float64]:
        """Share of those who looked that marked each voxel of the box; 0 where nobody looked."""
        return np.asarray(self.votes / np.maximum(self.lookers, 1))

    @property
    def consensus(self) -> Mask:
        """Voxels that all raters marked."""
        return np.asarray((self.votes == self.lookers) & self.known)

    @property
    def dissensus(self) -> Mask:
        """Voxels that some raters marked and others did not."""
        return np.asarray((self.votes > 0) & (self.votes < self.lookers))

    @property
    def majority(self) -> Mask:
        """Voxels that at least half of the raters marked (a tie is foreground)."""
        return np.asarray((2 * self.votes >= self.lookers) & self.known)

    @cached_property
    def staple(self) -> Mask:
        """Voxels with a STAPLE probability of at least one half."""
        return np.asarray(staple_mask(self.raters, self.outside, self.unknown) & self.known)

    def vote_counts(self) -> npt.NDArray[np.int64]:
        """[r + 1] voxels of the image that so many raters marked, of those that all looked at."""
        votes = self.votes if self.unknown is None else self.votes[self.all_known]
        counts = np.bincount(votes.ravel(), minlength=len(self.raters) + 1)
        counts[0] += self.outside
        return counts

    @property
    def predicted_volume_ml(self) -> float:
        """Volume of the probabilities, or of the mask where there are none; nan without either."""
        if self.soft is not None:
            return self.soft.volume_voxels * self.voxel_ml
        if self.prediction is not None:
            mask = self.prediction if self.unknown is None else self.prediction & self.all_known
            return int(np.count_nonzero(mask)) * self.voxel_ml
        return math.nan
