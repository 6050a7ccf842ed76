"""Lesions, matched by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.measures.masks import MaskPair
from evaluation.metrics import choose
from evaluation.settings import Settings
from tests.evaluation.conftest import call


def value(name, reference, prediction, spacing=(1, 1, 1), **more):
    return call(name, reference, prediction, spacing, **more)


def test_lesions_match_one_to_one_at_an_iou():
    reference, prediction = np.zeros((2, 1, 20, 20), dtype=bool)
    reference[0, 2:6, 2:6] = reference[0, 10:14, 10:14] = True
    prediction[0, 2:6, 2:14] = True  # IoU 1/3 with the first lesion
    prediction[0, 10:13, 10:14] = prediction[0, 17:19, 17:19] = True
    given_masks = (reference, prediction)
    assert value("lesion_recall", *given_masks) == 1
    assert value("lesion_precision", *given_masks) == pytest.approx(2 / 3)
    assert value("lesion_recall", *given_masks, lesion_iou=0.5) == 0.5
    assert value("lesion_recall", *given_masks, lesion_iou=0.3) == 1
    assert value("panoptic_quality", *given_masks) == pytest.approx(0.75 * 2 / 5)
    assert value("recognition_quality", *given_masks) == pytest.approx(2 / 5)
    assert value("segmentation_quality", *given_masks) == pytest.approx(0.75)
    assert value("lesion_dice", *given_masks) == pytest.approx((32 / 64 + 24 / 28) / 2)
    assert value("lesion_count", *given_masks) == 2
    assert value("predicted_lesion_count", *given_masks) == 3


def test_lesions_are_parted_by_size():
    reference = np.zeros((10, 40, 40), dtype=bool)
    reference[2, 2, 2] = reference[2:8, 10:20, 10:20] = True
    prediction = reference.copy()
    prediction[2, 2, 2] = False
    (small, large) = choose(("lesion_recall:-0.1ml", "lesion_recall:0.1-ml"), Settings())
    pair = MaskPair(reference, prediction)
    assert small.metric.of_masks(pair, small.settings) == 0
    assert large.metric.of_masks(pair, large.settings) == 1
