"""CURVAS-PDACVI 2025: pancreatic tumour in CT, five raters, and the vessels that it touches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evaluation.challenges import vessels
from evaluation.challenges.profile import Mode, NotDefinedError, Profile, ProfileCase, Values
from evaluation.challenges.torch_bins import exact_error, official_error
from evaluation.labels import Classes
from evaluation.measures.boxes import box_of
from evaluation.measures.official_crps import official_crps
from evaluation.measures.staple import staple_mask
from evaluation.metrics.metric import Metric
from evaluation.metrics.raters import exact_crps

THRESHOLDS = np.linspace(0.1, 0.8, 6)
SMOOTH = 1e-6
MARGIN = 20
SMALLEST = np.float32(1e-8)
Labels = npt.NDArray[np.integer]
Probabilities = npt.NDArray[np.floating]
Masks = npt.NDArray[np.bool_]


def thresholded_dice(
    raters: Labels, probabilities: Probabilities, mode: Mode = "official"
) -> float:
    """Mean over six thresholds of Dice between the raters' mean and the probabilities.

    Both empty at a threshold: 1. The official program adds 1e-6 to the denominator.

    Args:
        raters: [r, x, y, z], 1 is the tumour.
        probabilities: [x, y, z].
        mode: See above.
    """
    mean = np.mean(raters, axis=0)
    values = []
    for threshold in THRESHOLDS:
        first, second = probabilities > threshold, mean > threshold
        values.append(_dice(first, second, mode, both_empty=1.0))
    return float(np.mean(values))


def binary_dice(truth: Labels, prediction: Labels, mode: Mode = "official") -> float:
    """Dice against STAPLE; both empty: 0 in the official program, 1 in exact mode."""
    return _dice(prediction > 0, truth > 0, mode, both_empty=0.0 if mode == "official" else 1.0)


def _dice(first: Masks, second: Masks, mode: Mode, *, both_empty: float) -> float:
    size = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    if not size:
        return both_empty
    smooth = SMOOTH if mode == "official" else 0.0
    return 2.0 * int(np.count_nonzero(first & second)) / (size + smooth)


def common_box(raters: Labels, mode: Mode = "official") -> tuple[slice, slice, slice]:
    """Box around all raters' masks with 20 voxels before and 19 (exact: 20) behind.

    The official start may be negative, which Python counts from the end; exact stays inside.

    Raises:
        NotDefinedError: Official mode and no rater marked anything.
    """
    marked: Masks = np.any(raters > 0, axis=0)
    if not marked.any():
        if mode == "official":
            raise NotDefinedError(
                "no rater marked anything, so that the official program stops with an OverflowError"
            )
        return slice(None), slice(None), slice(None)
    sides = []
    for side in box_of(marked):
        low, high = side.start - MARGIN, side.stop - 1 + MARGIN
        sides.append(slice(low, high) if mode == "official" else slice(max(low, 0), high + 1))
    return sides[0], sides[1], sides[2]


def calibration_errors(
    raters: Labels, probabilities: Probabilities, mode: Mode = "official"
) -> list[float]:
    """Expected calibration error against each rater, 50 bins, in the box of all raters.

    Raises:
        NotDefinedError: See `common_box`.
    """
    box = common_box(raters, mode)
    inside = probabilities[box]
    if mode == "official":
        channels = np.maximum(np.stack((1 - inside, inside)), SMALLEST)
        channels = channels / channels.sum(axis=0)
        compute = official_error
    else:
        channels, compute = np.stack((1 - inside, inside)), exact_error
    flat = channels.reshape(2, -1)
    return [compute(flat, rater[box].reshape(-1)) for rater in raters]


def volume_crps(
    raters: Labels, probabilities: Probabilities, voxel_volume: float = 1.0, mode: Mode = "official"
) -> float:
    """CRPS of the tumour's volume, in voxels times `voxel_volume`; modes as in CURVAS 2024."""
    volumes = [int(np.count_nonzero(rater == 1)) * voxel_volume for rater in raters]
    if mode == "official":
        return official_crps(volumes, float(probabilities.sum().item()) * voxel_volume)
    predicted = float(probabilities.sum(dtype=np.float64)) * voxel_volume
    return exact_crps(float(np.mean(volumes)), float(np.std(volumes)), predicted)


def vascular_spreads(
    raters: Labels, vessel_map: Labels, probabilities: Probabilities, mode: Mode = "official"
) -> dict[str, dict[str, tuple[vessels.Spread, vessels.Spread]]]:
    """Vessel → plane → spread of the angle over the raters, and over the thresholds."""
    tumors = [rater == 1 for rater in raters]
    predicted = [probabilities > threshold for threshold in THRESHOLDS]
    result: dict[str, dict[str, tuple[vessels.Spread, vessels.Spread]]] = {}
    for name, value in vessels.VESSELS.items():
        first, second = (
            [vessels.involvement(mask, vessel_map, value, mode) for mask in masks]
            for masks in (tumors, predicted)
        )
        result[name] = {
            plane: (
                vessels.spread([item[plane] for item in first], mode),
                vessels.spread([item[plane] for item in second], mode),
            )
            for plane in vessels.PLANES
        }
    return result


def vascular_involvement(
    raters: Labels, vessel_map: Labels, probabilities: Probabilities, mode: Mode = "official"
) -> dict[str, float]:
    """Vessel → mean over the planes of the Wasserstein distance of the angles, in degrees."""
    return {
        name: float(np.mean([vessels.distance(*pair, mode) for pair in planes.values()]))
        for name, planes in vascular_spreads(raters, vessel_map, probabilities, mode).items()
    }


def _score(case: ProfileCase, mode: Mode) -> Values:
    assert case.probabilities is not None
    raters, probability = np.stack(case.raters), case.probabilities[0]
    if case.reference.any() or not raters.any():
        truth: Sequence[int] | Labels = case.reference
    else:
        truth = staple_mask(raters == 1).astype(np.uint8)
    try:
        errors = calibration_errors(raters, probability, mode)
    except NotDefinedError:
        errors = [math.nan] * len(raters)
    values = {
        "thresholded_dice": thresholded_dice(raters, probability, mode),
        "dsc": binary_dice(np.asarray(truth), case.prediction, mode),
        "crps": volume_crps(raters, probability, mode=mode),
        "ece": float(np.mean(errors)),
    }
    values |= {f"ece_rater_{index}": item for index, item in enumerate(errors, 1)}
    if case.vessels is not None:
        # The official axes are (x, y, z); the mean over the planes does not depend on it.
        found = vascular_involvement(raters, case.vessels, probability, mode)
        names = {name: f"involvement_{name.lower().replace(' ', '_')}" for name in found}
        values |= {names[name]: value for name, value in found.items()}
    return {"tumor": values}


ECE = Metric(
    title="Expected calibration error in the raters' box, mean over raters",
    direction="lower",
    empty="official: empty crop nan",
    source="CURVAS-PDACVI 2025, 50 bins",
)
PROFILE = Profile(
    title="CURVAS-PDACVI 2025: thresholded Dice, Dice, ECE, CRPS, vascular involvement",
    classes=Classes(members={"tumor": (1,)}),
    metrics={
        "thresholded_dice": Metric(
            title="Dice over six thresholds",
            direction="higher",
            empty="both empty at a threshold: 1",
            source="CURVAS-PDACVI 2025",
        ),
        "dsc": Metric(
            title="Dice against STAPLE (REFERENCE)",
            direction="higher",
            empty="official: both empty 0; exact: 1",
            source="CURVAS-PDACVI 2025",
        ),
        "crps": Metric(
            title="CRPS of the volume",
            direction="lower",
            unit="voxels",
            high=math.inf,
            empty="official: 0 where raters agree; exact: absolute error",
            worst=lambda grid, _: float(grid.num_voxels),
            source="CURVAS-PDACVI 2025",
        ),
        "ece": ECE,
        "ece_rater": ECE,
        **{
            f"involvement_{name.lower().replace(' ', '_')}": Metric(
                title=f"Vascular involvement: {name}",
                direction="lower",
                unit="°",
                high=math.inf,
                empty="no contact: 0",
                worst=lambda *_: vessels.FULL_TURN,
                source="CURVAS-PDACVI 2025",
            )
            for name in vessels.VESSELS
        },
    },
    score=_score,
    needs=("raters", "probabilities"),
    defects=(
        "the box's start may be negative; CRPS saturates and is 0 where raters agree; contact "
        "pixels count several times; narrow distributions of angles vanish between grid points"
    ),
)
