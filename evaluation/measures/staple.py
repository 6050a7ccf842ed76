"""STAPLE: the probable truth behind several raters' masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

START = 0.99999
TOLERANCE = 1e-12
MAX_STEPS = 10_000
ROUNDING = 1e-6
"""What an end of the steps leaves of a probability that is exactly one half."""
BITS = 16
"""Planes that are told apart by one table."""

Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Patterns:
    """Combinations of truth values that occur in the voxels of an image.

    Attributes:
        bits: [p, k] truth value of each plane in each combination.
        counts: [k] voxels that have it.
        index: […] combination of each voxel.
    """

    bits: Masks
    counts: npt.NDArray[np.int64]
    index: npt.NDArray[np.intp]


def find_patterns(planes: Masks, outside: int = 0) -> Patterns:
    """Which combinations of truth values occur; as many planes as there may be.

    Args:
        planes: [p, …] truth values, such as one rater's mask each.
        outside: Voxels beyond the array, false in all planes.
    """
    index = np.zeros(planes.shape[1:], dtype=np.intp)
    bits = np.zeros((0, 1), dtype=bool)
    for start in range(0, len(planes), BITS):
        part = planes[start : start + BITS]
        code = index << len(part)
        for place, plane in enumerate(part):
            code |= plane.astype(np.intp) << place
        found, index = _renumber(code, bits.shape[1] << len(part))
        own = ((found >> np.arange(len(part))[:, None]) & 1).astype(bool)
        bits = np.concatenate((bits[:, found >> len(part)], own))
    counts = np.bincount(index.ravel(), minlength=bits.shape[1])
    if outside:
        if not len(counts) or bits[:, 0].any():
            bits = np.concatenate((np.zeros((len(bits), 1), dtype=bool), bits), axis=1)
            counts, index = np.concatenate(([0], counts)), index + 1
        counts[0] += outside  # voxels without any true value come first
    return Patterns(bits=bits, counts=counts, index=index)


def _renumber(
    code: npt.NDArray[np.intp], limit: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Numbers that occur, ascending, and the place of each voxel's among them."""
    if limit > max(1 << BITS, code.size):
        found, index = np.unique(code, return_inverse=True)
        return found, index.reshape(code.shape)
    found = np.flatnonzero(np.bincount(code.ravel(), minlength=limit))
    table = np.zeros(limit, dtype=np.intp)
    table[found] = np.arange(len(found))
    return found, table[code]


def staple(masks: Masks, outside: int = 0, unknown: Masks | None = None) -> npt.NDArray[np.float64]:
    """Probability of the foreground by expectation maximisation (Warfield et al. 2004).

    Voxels with the same votes have the same probability, so that the steps run over the patterns
    of votes that occur instead of the voxels: the same result in no time.

    Args:
        masks: [r, …] one mask per rater.
        outside: Voxels beyond the array that nobody marked; they belong to the prior.
        unknown: [r, …] voxels that a rater did not look at; he has no vote there.

    Returns:
        […] probability per voxel; 0 where nobody marked anything.
    """
    planes = masks if unknown is None else np.concatenate((masks & ~unknown, unknown))
    found = find_patterns(planes, outside)
    votes = found.bits[: len(masks)]
    known = np.ones_like(votes) if unknown is None else ~found.bits[len(masks) :]
    seen = known @ found.counts
    prior = float((votes @ found.counts).sum() / max(int(seen.sum()), 1))
    if prior in (0.0, 1.0):
        return np.full(masks.shape[1:], prior)
    return np.asarray(_maximise(votes, known, found.counts, prior)[found.index])


def _maximise(
    votes: Masks, known: Masks, counts: npt.NDArray[np.int64], prior: float
) -> npt.NDArray[np.float64]:
    """[k] probability of each pattern of votes [r, k]."""
    sensitivity, specificity = np.full((2, len(votes)), START)
    weight = np.zeros(len(counts))
    for _ in range(MAX_STEPS):
        inside, beyond = np.full(len(counts), prior), np.full(len(counts), 1 - prior)
        for rater, (vote, seen) in enumerate(zip(votes, known, strict=True)):
            hit, right = sensitivity[rater], specificity[rater]
            inside *= np.where(seen, np.where(vote, hit, 1 - hit), 1.0)
            beyond *= np.where(seen, np.where(vote, 1 - right, right), 1.0)
        total = inside + beyond
        updated = np.divide(inside, total, out=np.zeros_like(total), where=total > 0)
        mass, rest = updated * counts, (1 - updated) * counts
        sensitivity = (votes @ mass) / np.maximum(known @ mass, 1e-300)
        specificity = ((known & ~votes) @ rest) / np.maximum(known @ rest, 1e-300)
        if np.abs(updated - weight).max() < TOLERANCE:
            break
        weight = updated
    return np.asarray(updated)


def staple_mask(masks: Masks, outside: int = 0, unknown: Masks | None = None) -> Masks:
    """Voxels with a STAPLE probability of at least one half; see `staple`."""
    return is_probable(staple(masks, outside, unknown))


def is_probable(probability: npt.NDArray[np.float64]) -> Masks:
    """Where a STAPLE probability is at least one half.

    Two raters of whom one marked less than the other leave exactly one half to what only one of
    them marked: rounding does not decide about it.
    """
    return np.asarray(probability >= 0.5 - ROUNDING)
