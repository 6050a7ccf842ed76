"""One reference from several raters."""

from __future__ import annotations

import numpy as np

from evaluation.files.label_maps import LabelMap
from evaluation.scoring.consensus import merge


def test_majority_and_staple_make_a_reference():
    maps = [np.array([[1, 1, 2, 0]]), np.array([[1, 2, 2, 0]]), np.array([[1, 0, 2, 2]])]
    given_maps = [
        LabelMap(labels=m.astype(np.uint8), spacing_mm=(1, 1), origin_mm=(), direction=())
        for m in maps
    ]
    assert merge(given_maps, "majority").labels[0, [0, 2, 3]].tolist() == [1, 2, 0]
    assert merge(given_maps, "staple").labels[0, [0, 2]].tolist() == [1, 2]
    assert merge(given_maps[:1], "majority").labels.tolist() == maps[0].tolist()
