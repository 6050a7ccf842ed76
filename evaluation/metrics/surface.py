"""Distances between surfaces, in the definitions of the programs that published numbers come from.

| `surface` | points | HD95 | mean distance | surface Dice |
|---|---|---|---|---|
| deepmind | surface elements with areas | max of both, by share of the area | by area | by area |
| medpy | border voxels | of both directions together | both together | by count |
| monai | border voxels | max of both directions | both together | by count, in float32 |
| monai_subvoxels | surface elements with areas | as deepmind | as deepmind | by area, in float32 |
| metrics_reloaded | border voxels | max of both directions | both together | by count |
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from evaluation.measures.masks import MaskPair
from evaluation.metrics.metric import Metric
from evaluation.settings import Settings

NAN, INF = math.nan, math.inf
COARSE = 256
"""Bins of distances in which a percentile is looked for first."""
Official = dict[str, tuple[float, float]]
"""Program → what it returns where both masks are empty, and where one is."""

OFFICIAL_PERCENTILE: Official = {
    "deepmind": (INF, INF),
    "medpy": (NAN, NAN),  # it raises an error
    "monai": (NAN, NAN),
    "monai_subvoxels": (NAN, NAN),
    "metrics_reloaded": (0.0, NAN),
}
OFFICIAL_MAXIMUM: Official = {
    **OFFICIAL_PERCENTILE,
    "monai": (NAN, INF),
    "monai_subvoxels": (NAN, INF),
}
OFFICIAL_MEAN: Official = {**OFFICIAL_PERCENTILE, "deepmind": (NAN, INF)}
OFFICIAL_DICE: Official = {
    "deepmind": (NAN, 0.0),
    "medpy": (NAN, NAN),  # it has none
    "monai": (NAN, 0.0),
    "monai_subvoxels": (NAN, 0.0),
    "metrics_reloaded": (1.0, 0.0),
}


def _empty_distance(pair: MaskPair, settings: Settings, official: Official) -> float | None:
    if pair.empty is None:
        return None
    value = official[settings.surface][0 if pair.empty == "both" else 1]
    return settings.empty(pair.empty, worst=pair.diagonal_mm, best=0.0, official=value)


def _hausdorff(pair: MaskPair, settings: Settings, percent: float) -> float:
    official = OFFICIAL_MAXIMUM if percent == 100 else OFFICIAL_PERCENTILE
    empty = _empty_distance(pair, settings, official)
    if empty is not None:
        return empty
    found = pair.distances(settings)
    if settings.has_elements:
        return max(
            _weighted_percentile(found.to_prediction, found.reference_weights, percent),
            _weighted_percentile(found.to_reference, found.prediction_weights, percent),
        )
    if settings.surface == "medpy":
        together = np.concatenate((found.to_reference, found.to_prediction))
        return float(np.percentile(together, percent))
    return max(
        float(np.percentile(found.to_reference, percent)),
        float(np.percentile(found.to_prediction, percent)),
    )


def _weighted_percentile(
    distances: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], percent: float
) -> float:
    """The first distance at which the share of the area reaches a percentage.

    Only the distances of the coarse bin that holds it are sorted.
    """
    bins = (distances * (COARSE / max(float(distances.max()), 1e-300))).astype(np.intp)
    areas = np.cumsum(np.bincount(bins, weights))
    chosen = int(np.searchsorted(areas, percent / 100.0 * areas[-1]))
    chosen = min(chosen, len(areas) - 1)
    inside = np.flatnonzero(bins == chosen)
    order = inside[np.lexsort((weights[inside], distances[inside]))]
    before = areas[chosen - 1] if chosen else 0.0
    shares = (before + np.cumsum(weights[order])) / areas[-1]
    index = int(np.searchsorted(shares, percent / 100.0))
    return float(distances[order[min(index, len(order) - 1)]])


def _mean_to_reference(pair: MaskPair, settings: Settings) -> float:
    # A mean over no prediction at all is not defined, to no reference at all it is infinite.
    official = OFFICIAL_MEAN
    if settings.surface == "deepmind" and not pair.counts.predicted:
        official = {**OFFICIAL_MEAN, "deepmind": (NAN, NAN)}
    empty = _empty_distance(pair, settings, official)
    if empty is not None:
        return empty
    found = pair.distances(settings)
    return _mean(found.to_reference, found.prediction_weights)


def _symmetric_mean(pair: MaskPair, settings: Settings) -> float:
    empty = _empty_distance(pair, settings, OFFICIAL_MEAN)
    if empty is not None:
        return empty
    found = pair.distances(settings)
    both = np.concatenate((found.to_reference, found.to_prediction))
    return _mean(both, np.concatenate((found.prediction_weights, found.reference_weights)))


def _mean_of_means(pair: MaskPair, settings: Settings) -> float:
    empty = _empty_distance(pair, settings, OFFICIAL_MEAN)
    if empty is not None:
        return empty
    found = pair.distances(settings)
    first = _mean(found.to_reference, found.prediction_weights)
    return (first + _mean(found.to_prediction, found.reference_weights)) / 2


def _mean(distances: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    if (weights == 1).all():
        return float(distances.mean())
    return float(np.sum(distances * weights) / np.sum(weights))


def _surface_dice(pair: MaskPair, settings: Settings) -> float:
    if pair.empty is not None:
        value = OFFICIAL_DICE[settings.surface][0 if pair.empty == "both" else 1]
        return settings.empty(pair.empty, worst=0.0, best=1.0, official=value)
    found, tolerance = pair.distances(settings), settings.tolerance_of(pair.label)
    # Equality with the tolerance depends on the number format; MONAI's is float32.
    exact = np.float32 if settings.surface.startswith("monai") else np.float64
    near_prediction = np.asarray(found.to_prediction.astype(exact, copy=False) <= exact(tolerance))
    near_reference = np.asarray(found.to_reference.astype(exact, copy=False) <= exact(tolerance))
    first, second = found.reference_weights, found.prediction_weights
    if settings.official_sums:
        # The last digits depend on the order of the elements: by distance, then by area.
        order = np.lexsort((first, found.to_prediction))
        first, near_prediction = first[order], near_prediction[order]
        order = np.lexsort((second, found.to_reference))
        second, near_reference = second[order], near_reference[order]
    agreeing = np.sum(first[near_prediction]) + np.sum(second[near_reference])
    return float(agreeing / (np.sum(first) + np.sum(second)))


DISTANCE_EMPTY = "both empty: policy (nan); one empty: policy (image diagonal)"

HD = Metric(
    title="Hausdorff distance",
    of_masks=lambda pair, settings: _hausdorff(pair, settings, 100),
    direction="lower",
    unit="mm",
    high=INF,
    empty=DISTANCE_EMPTY,
    accepts=("surface",),
    source="Hausdorff 1914; variants by program",
)
HD95 = Metric(
    title="95th percentile of the Hausdorff distance",
    of_masks=lambda pair, settings: _hausdorff(pair, settings, 95),
    direction="lower",
    unit="mm",
    high=INF,
    empty=DISTANCE_EMPTY,
    accepts=("surface",),
    source="Nikolov et al. 2021 (robust Hausdorff distance); variants by program",
)
ASD = Metric(
    title="Average surface distance, prediction → reference",
    of_masks=_mean_to_reference,
    direction="lower",
    unit="mm",
    high=INF,
    empty=DISTANCE_EMPTY,
    accepts=("surface",),
    source="Heimann et al. 2009",
)
ASSD = Metric(
    title="Average symmetric surface distance",
    of_masks=_symmetric_mean,
    direction="lower",
    unit="mm",
    high=INF,
    empty=DISTANCE_EMPTY,
    accepts=("surface",),
    source="Heimann et al. 2009; both directions together",
)
MASD = Metric(
    title="Mean of the two average surface distances",
    of_masks=_mean_of_means,
    direction="lower",
    unit="mm",
    high=INF,
    empty=DISTANCE_EMPTY,
    accepts=("surface",),
    source="Metrics Reloaded (Maier-Hein et al. 2024)",
)
NSD = Metric(
    title="Normalised surface Dice at a tolerance",
    of_masks=_surface_dice,
    direction="higher",
    empty="both empty: policy (nan); one empty: policy (0)",
    accepts=("surface", "tolerance_mm"),
    source="Nikolov et al. 2021",
)
