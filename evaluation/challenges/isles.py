"""ISLES'22: the DWI track, and the ATLAS track, which counts otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluation.challenges.by_class import score_pair
from evaluation.challenges.profile import Mode, Profile, ProfileCase, Values
from evaluation.labels import Classes
from evaluation.measures.masks import MaskPair
from evaluation.metrics import METRICS
from evaluation.metrics.metric import Metric
from evaluation.settings import Settings

KEYS = ("dice", "absolute_volume_difference", "lesion_count_difference", "lesion_f1")
SETTINGS = Settings(both_empty="1", one_empty="0", connectivity=26)
ATLAS_SETTINGS = Settings(both_empty="1", one_empty="0", connectivity=6)


def _score(case: ProfileCase, mode: Mode) -> Values:
    # Whatever is not 0 is a lesion, negative and fractional values too.
    pair = MaskPair(
        case.reference.astype(bool), case.prediction.astype(bool), case.spacing_mm, label="lesion"
    )
    return {"lesion": {key: score_pair(key, pair, SETTINGS) for key in KEYS}}


def _score_atlas(case: ProfileCase, mode: Mode) -> Values:
    first, second = case.reference > 0, case.prediction > 0
    pair = MaskPair(first, second, case.spacing_mm, label="lesion")
    values = {
        key: score_pair(key, pair, ATLAS_SETTINGS)
        for key in ("dice", "lesion_count_difference", "lesion_f1")
    }
    voxels = abs(float(case.reference.sum()) - float(case.prediction.sum()))
    if mode == "exact":
        voxels = float(abs(pair.counts.reference - pair.counts.predicted))
    values["voxel_difference"] = voxels
    return {"lesion": values}


VOXEL_DIFFERENCE = Metric(
    title="Absolute volume difference in voxels",
    direction="lower",
    unit="voxels",
    high=float(np.inf),
    empty="0",
    worst=lambda grid, _: float(grid.num_voxels),
    source="ISLES'22, ATLAS track",
)
LESION = Classes(members={"lesion": (1,)})
ISLES22 = Profile(
    title="ISLES'22 (DWI): Dice, volume and lesion count difference, lesion F1 (26 neighbours)",
    classes=LESION,
    metrics={key: METRICS[key] for key in KEYS},
    score=_score,
)
ATLAS = Profile(
    title="ISLES'22 (ATLAS): as ISLES'22 with 6 neighbours and volumes in voxels",
    classes=LESION,
    metrics={
        "dice": METRICS["dice"],
        "lesion_count_difference": replace(
            METRICS["lesion_count_difference"],
            worst=lambda grid, _: float(grid.most_components(ATLAS_SETTINGS.connectivity)),
        ),
        "lesion_f1": METRICS["lesion_f1"],
        "voxel_difference": VOXEL_DIFFERENCE,
    },
    score=_score_atlas,
    defects="values above 1 count several times in the volume difference",
)
