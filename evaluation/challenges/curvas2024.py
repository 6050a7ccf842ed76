"""CURVAS 2024: pancreas, kidney and liver in CT, three raters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.challenges.profile import Mode, NotDefinedError, Profile, ProfileCase, Values
from evaluation.challenges.torch_bins import exact_error, official_error
from evaluation.labels import ALL_CLASSES, Classes
from evaluation.measures.boxes import box_of
from evaluation.measures.official_crps import official_crps
from evaluation.metrics.metric import Metric
from evaluation.metrics.raters import exact_crps

ORGANS = {"pancreas": 1, "kidney": 2, "liver": 3}
Masks = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.integer]
Probabilities = npt.NDArray[np.floating]


def crop_to_body(image: npt.NDArray[Any]) -> tuple[slice, slice, slice]:
    """Box of intensities above 0 in any slice; slices are never cut (official preprocessing)."""
    inside: Masks = np.any(image > 0, axis=0)
    rows, columns = box_of(inside)
    return slice(None), rows, columns


def consensus_dice(raters: Labels, prediction: Labels, mode: Mode = "official") -> dict[str, float]:
    """Dice in the consensus of the raters; dissensus does not count.

    Args:
        raters: [r, s, x, y].
        prediction: [s, x, y].
        mode: official takes slices for a batch and rows for channels: the mean over slices of the
            mean over rows 1 … that hold consensus foreground, 0 where there is none; exact is the
            Dice of the volume (nan where both are empty).
    """
    result = {}
    for name, value in ORGANS.items():
        truth, agreed = _consensus(raters, value)
        predicted = (prediction == value) & agreed
        if mode == "official":
            result[name] = _row_wise(truth, predicted)
        else:
            size = int(truth.sum()) + int(predicted.sum())
            result[name] = 2 * int((truth & predicted).sum()) / size if size else math.nan
    return result


def _consensus(raters: Labels, value: int) -> tuple[Masks, Masks]:
    """Where all raters say the organ, and where all agree about it."""
    votes = sum((rater == value).astype(np.uint8) for rater in raters)
    truth = np.asarray(votes == len(raters))
    return truth, truth | np.asarray(votes == 0)


def _row_wise(truth: Masks, predicted: Masks) -> float:
    common = (truth & predicted).sum(axis=2)[:, 1:]
    in_truth = truth.sum(axis=2)[:, 1:]
    size = (in_truth + predicted.sum(axis=2)[:, 1:]).astype(np.float32)
    valid = in_truth > 0
    rows = np.zeros(valid.shape, dtype=np.float32)
    rows[valid] = (2 * common[valid]).astype(np.float32) / size[valid]
    number = valid.sum(axis=1)
    slices = number > 0
    if not slices.any():
        return 0.0
    means = rows[slices].sum(axis=1, dtype=np.float32) / number[slices].astype(np.float32)
    return float(means.sum(dtype=np.float32) / np.float32(slices.sum()))


def consensus_confidence(raters: Labels, probabilities: Probabilities) -> dict[str, float]:
    """Mean of the mean probability in the consensus and of its complement in the background.

    nan where an organ has no consensus.

    Args:
        raters: [r, s, x, y].
        probabilities: [3, s, x, y].
    """
    result = {}
    for index, (name, value) in enumerate(ORGANS.items()):
        truth, agreed = _consensus(raters, value)
        values, outside = probabilities[index], agreed & ~truth
        if not truth.any() or not outside.any():
            result[name] = math.nan
            continue
        inside = float(values[truth].mean(dtype=np.float64))
        result[name] = ((1 - float(values[outside].mean(dtype=np.float64))) + inside) / 2
    return result


def calibration_error(
    annotation: Labels, probabilities: Probabilities, mode: Mode = "official"
) -> float:
    """Expected calibration error against one rater, 50 bins, over all voxels.

    Args:
        annotation: [s, x, y].
        probabilities: [3, s, x, y]; the background is 1 minus their sum.
        mode: official keeps float32 counters and the softmax of everything as soon as one value
            lies outside 0 … 1; exact does neither.
    """
    background = 1 - ((probabilities[0] + probabilities[1]) + probabilities[2])
    channels = np.stack((background, *probabilities)).reshape(4, -1)
    compute = official_error if mode == "official" else exact_error
    return compute(channels, annotation.reshape(-1))


def volume_crps(
    raters: Labels,
    probabilities: Probabilities,
    voxel_volume: float = 1.0,
    mode: Mode = "official",
) -> dict[str, float]:
    """CRPS of each organ's volume, in voxels times `voxel_volume`.

    Args:
        raters: [r, s, x, y].
        probabilities: [3, s, x, y].
        voxel_volume: Volume of a voxel.
        mode: official integrates over mean ± 3 σ; exact is the closed form, which neither
            saturates nor is 0 where raters agree.

    Raises:
        NotDefinedError: Official mode and an organ is missing in a rater's map.
    """
    result = {}
    for index, (name, value) in enumerate(ORGANS.items()):
        if mode == "official":
            volumes = [_official_count(rater, value) * voxel_volume for rater in raters]
            predicted = float(probabilities[index].sum().item()) * voxel_volume
            result[name] = official_crps(volumes, predicted)
        else:
            volumes = [int(np.count_nonzero(rater == value)) * voxel_volume for rater in raters]
            predicted = float(probabilities[index].sum(dtype=np.float64)) * voxel_volume
            result[name] = exact_crps(float(np.mean(volumes)), float(np.std(volumes)), predicted)
    return result


def _official_count(annotation: Labels, value: int) -> int:
    """Entry `value` of the counts of the values that occur, as the official program reads."""
    counts = np.unique(annotation, return_counts=True)[1]
    if value >= len(counts):
        raise NotDefinedError(
            f"a rater's map holds {len(counts)} different values, so that the official program "
            f"stops with an IndexError at organ {value}"
        )
    return int(counts[value])


def _score(case: ProfileCase, mode: Mode) -> Values:
    assert case.probabilities is not None
    raters, prediction, probabilities = np.stack(case.raters), case.prediction, case.probabilities
    if case.image is not None:
        box = crop_to_body(case.image)
        raters, probabilities = raters[(slice(None), *box)], probabilities[(slice(None), *box)]
        prediction = prediction[box]
    dice = consensus_dice(raters, prediction, mode)
    confidence = consensus_confidence(raters, probabilities)
    errors = [calibration_error(rater, probabilities, mode) for rater in raters]
    try:
        crps = volume_crps(raters, probabilities, mode=mode)
    except NotDefinedError:
        crps = dict.fromkeys(ORGANS, math.nan)
    values: Values = {
        name: {"dsc": dice[name], "confidence": confidence[name], "crps": crps[name]}
        for name in ORGANS
    }
    values[ALL_CLASSES] = {"ece": sum(errors) / len(errors)}
    values[ALL_CLASSES] |= {f"ece_rater_{index}": item for index, item in enumerate(errors, 1)}
    return values


ECE = Metric(
    title="Expected calibration error, mean over raters",
    direction="lower",
    empty="no voxels: nan",
    source="CURVAS 2024, 50 bins",
    scope="all",
)
PROFILE = Profile(
    title="CURVAS 2024: consensus Dice, ECE and CRPS of the volume against three raters",
    classes=Classes(members={name: (value,) for name, value in ORGANS.items()}),
    metrics={
        "dsc": Metric(
            title="Consensus Dice",
            direction="higher",
            empty="official: no consensus 0; exact: nan",
            source="CURVAS 2024",
        ),
        "confidence": Metric(
            title="Confidence in the consensus",
            direction="higher",
            empty="no consensus: nan",
            source="CURVAS 2024",
        ),
        "crps": Metric(
            title="CRPS of the volume",
            direction="lower",
            unit="voxels",
            high=math.inf,
            empty="official: raters agree 0, an organ misses nan; exact: absolute error",
            worst=lambda grid, _: float(grid.num_voxels),
            source="CURVAS 2024",
        ),
        "ece": ECE,
        "ece_rater": ECE,
    },
    score=_score,
    needs=("raters", "probabilities"),
    defects=(
        "Dice is a mean over rows of slices; ECE counters stop at 2^24 voxels per bin and one "
        "value outside 0 … 1 sends all through a softmax; CRPS saturates, is 0 where raters agree "
        "and fails where a rater lacks an organ"
    ),
)
