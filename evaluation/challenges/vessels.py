"""Vascular involvement of a tumour: how far around a vessel it touches, in degrees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.stats import norm, wasserstein_distance

from evaluation.challenges.profile import Mode
from evaluation.measures.boxes import box_of

VESSELS = {"PORTA": 1, "SMV": 2, "AORTA": 3, "CELIAC TRUNK": 4, "SMA": 5}
PLANES = {"cor": 0, "sag": 1, "ax": 2}
TUMOR_VALUE = 20
LAST_VALUE = 22
"""Values of the vessel map: up to here they are structures, 20 is the tumour."""
FULL_TURN = 360.0
MARGIN = 20
SMOOTH = 1e-6
"""What the official program adds to standard deviations."""

Mask = npt.NDArray[np.bool_]
Spread = tuple[float, float]
"""Mean and standard deviation in degrees."""


def involvement(
    tumor: Mask, vessels: npt.NDArray[np.integer], value: int, mode: Mode = "official"
) -> dict[str, float]:
    """Largest angle of contact over the slices of each plane.

    A slice's angle is the share of the vessel's edge pixels that the tumour touches, times 360. The
    official program counts a pixel once per direction in which it is touched, up to five times, so
    that angles beyond 360 occur; exact counts each once.

    Args:
        tumor: [x, y, z] mask.
        vessels: [x, y, z] values of `VESSELS`.
        value: The vessel.
        mode: See above.
    """
    vessel = vessels == value
    shown = vessel | (vessels == TUMOR_VALUE) | (vessels > LAST_VALUE)
    result = dict.fromkeys(PLANES, 0.0)
    for plane, axis in PLANES.items():
        others = tuple(other for other in range(3) if other != axis)
        both = tumor.any(axis=others) & vessel.any(axis=others)
        for index in np.flatnonzero(both):
            place = (slice(None),) * axis + (int(index),)
            angle = _angle(tumor[place], shown[place], mode)
            result[plane] = max(result[plane], angle)
    return result


def _angle(tumor: Mask, vessel: Mask, mode: Mode) -> float:
    box = tuple(
        slice(max(side.start - MARGIN, 0), side.stop + MARGIN) for side in box_of(tumor | vessel)
    )
    tumor, vessel = ndimage.binary_dilation(tumor[box]), vessel[box]
    edge = vessel & ~ndimage.binary_erosion(vessel)
    number = int(edge.sum())
    if not number:
        return 0.0
    overlap = edge & tumor
    free, rest = tumor & ~edge, edge & ~tumor
    shifts = ((0, 1), (1, 0), (1, 1), (1, -1))
    touches = [rest & _shifted(free, step) for step in shifts]
    if mode == "exact":
        around = ndimage.binary_dilation(free, np.ones((3, 3), dtype=bool))
        return int((overlap | (rest & around)).sum()) / number * FULL_TURN
    contact = int(overlap.sum()) + sum(int(touch.sum()) for touch in touches)
    return contact / number * FULL_TURN


def _shifted(mask: Mask, step: tuple[int, int]) -> Mask:
    """Pixels with the mask in themselves or one step on (the official kernels of two pixels)."""
    if step == (1, -1):
        # The anti-diagonal kernel covers the two neighbours of the pixel below right.
        return _moved(mask, (0, 1)) | _moved(mask, (1, 0))
    return mask | _moved(mask, step)


def _moved(mask: Mask, step: tuple[int, int]) -> Mask:
    result = np.zeros_like(mask)
    down, right = step
    height, width = mask.shape
    result[: height - down, : width - right] = mask[down:, right:]
    return result


def spread(angles: list[float], mode: Mode = "official") -> Spread:
    """Mean and standard deviation of angles."""
    return float(np.mean(angles)), float(np.std(angles)) + (SMOOTH if mode == "official" else 0.0)


def distance(first: Spread, second: Spread, mode: Mode = "official") -> float:
    """Wasserstein distance in degrees between two normal distributions.

    Args:
        first: Of the raters.
        second: Of the prediction.
        mode: official compares densities at 1000 points from 0 to 360, between which narrow ones
            vanish: two that vanish are equal, one that does costs 360 or the other's mean; exact
            integrates over the quantiles.
    """
    if mode == "exact":
        quantiles = norm.ppf((np.arange(1000) + 0.5) / 1000)
        gap = (first[0] - second[0]) + (first[1] - second[1]) * quantiles
        return float(np.abs(gap).mean())
    points = np.linspace(0, FULL_TURN, 1000)
    densities = [norm(loc=mean, scale=deviation).pdf(points) for mean, deviation in (first, second)]
    vanished = [bool(np.allclose(density, 0.0)) for density in densities]
    if all(vanished):
        return 0.0
    if any(vanished):
        mean, deviation = _moments(points, densities[0 if vanished[1] else 1], vanished[0])
        return abs(mean) if np.allclose(deviation, 0.0) else FULL_TURN
    parts = [np.clip(np.nan_to_num(density), 0, None) for density in densities]
    shares = [part / part.sum() for part in parts]
    return float(wasserstein_distance(points, points, *shares))


def _moments(
    points: npt.NDArray[np.float64], density: npt.NDArray[np.float64], is_prediction: bool
) -> Spread:
    """Moments as the official fall-back has them (the prediction's mean is not normalised)."""
    total = float(density.sum())
    mean = float((points * density).sum()) / (1.0 if is_prediction else total)
    variance = float((density * (points - mean) ** 2).sum()) / total if total > 0 else 0.0
    return mean, float(np.sqrt(variance))
