from __future__ import annotations

import pytest
import torch

from autoseg.training.batches import Batch
from autoseg.training.scoring import BestScore, confusion


def test_voxels_are_counted_per_class_by_hand():
    # Class indices of four voxels: predicted 0 1 2 1, reference 0 1 1 2.
    logits = torch.nn.functional.one_hot(torch.tensor([[0, 1, 2, 1]]), 3).movedim(-1, 1).float()
    batch = Batch(image=torch.zeros(1), target=torch.tensor([[0, 1, 1, 2]]), valid_mask=None)
    assert confusion(logits, batch, False).tolist() == [[1, 0], [2, 1], [2, 1]]


def test_the_best_score_is_smoothed_and_missing_scores_change_nothing():
    best = BestScore()
    assert best.update(0.5)
    assert not best.update(None)
    assert not best.update(0.4)
    assert best.smoothed == pytest.approx(0.49)
    assert best.update(0.9)
    assert best.best == pytest.approx(0.531)
