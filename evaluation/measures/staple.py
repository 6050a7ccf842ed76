"""STAPLE: the probable truth behind several raters' masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

START = 0.99999
TOLERANCE = 1e-12
MAX_STEPS = 10_000


def patterns(
    masks: npt.NDArray[np.bool_], outside: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """Which raters marked a voxel, as one number per voxel.

    Args:
        masks: [r, …] one mask per rater, up to 16.
        outside: Voxels beyond the array that nobody marked.

    Returns:
        (codes [k], voxels [k], code of each voxel […]): bit i of a code is rater i.
    """
    code = np.zeros(masks.shape[1:], dtype=np.intp)
    for rater, mask in enumerate(masks):
        code |= mask.astype(np.intp) << rater
    counts = np.bincount(code.ravel(), minlength=1 << len(masks))
    counts[0] += outside
    codes = np.flatnonzero(counts)
    return codes, counts[codes], code


def staple(masks: npt.NDArray[np.bool_], outside: int = 0) -> npt.NDArray[np.float64]:
    """Probability of the foreground by expectation maximisation (Warfield et al. 2004).

    Voxels with the same votes have the same probability, so that the steps run over the at most
    2^r patterns of votes instead of the voxels: the same result in no time.

    Args:
        masks: [r, …] one mask per rater.
        outside: Voxels beyond the array that nobody marked; they belong to the prior.

    Returns:
        […] probability per voxel; 0 where nobody marked anything.
    """
    codes, counts, code = patterns(masks, outside)
    votes = (codes[:, None] >> np.arange(len(masks))) & 1
    prior = float((votes * counts[:, None]).sum() / (counts.sum() * len(masks)))
    if prior in (0.0, 1.0):
        return np.full(masks.shape[1:], prior)
    sensitivity = np.full(len(masks), START)
    specificity = np.full(len(masks), START)
    weight = np.zeros(len(codes))
    for _ in range(MAX_STEPS):
        inside = prior * np.where(votes, sensitivity, 1 - sensitivity).prod(axis=1)
        beyond = (1 - prior) * np.where(votes, 1 - specificity, specificity).prod(axis=1)
        total = inside + beyond
        updated = np.divide(inside, total, out=np.zeros_like(total), where=total > 0)
        mass = updated * counts
        sensitivity = (mass[:, None] * votes).sum(axis=0) / max(mass.sum(), 1e-300)
        rest = (1 - updated) * counts
        specificity = (rest[:, None] * (1 - votes)).sum(axis=0) / max(rest.sum(), 1e-300)
        if np.abs(updated - weight).max() < TOLERANCE:
            break
        weight = updated
    table = np.zeros(1 << len(masks))
    table[codes] = updated
    return table[code]
