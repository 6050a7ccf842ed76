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


def counts(predicted, target, valid_mask=None, *, has_regions=False):
    if has_regions:
        logits = torch.where(torch.tensor(predicted, dtype=torch.bool), 1.0, -1.0)
    else:
        logits = torch.nn.functional.one_hot(torch.tensor(predicted), 3).movedim(-1, 1).float()
    batch = Batch(image=torch.zeros(1), target=target, valid_mask=valid_mask)
    return confusion(logits, batch, has_regions).tolist()


def test_shares_count_as_the_class_that_most_raters_gave_and_ties_as_foreground():
    shares = torch.tensor([[0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [0.4, 0.2, 0.4], [0.1, 0.3, 0.6]])
    target = shares.T[None]
    assert counts([[0, 1, 2, 2]], target) == [[1, 2], [1, 2], [1, 2]]
    assert counts([[1, 0, 1, 0]], target) == [[0, 0], [2, 0], [1, 2]]
    target = torch.tensor([[[0.5, 0.25, 1.0]]])
    assert counts([[[1, 1, 0]]], target, has_regions=True) == [[1], [2], [2]]


def test_voxels_that_are_not_valid_do_not_count():
    target = torch.tensor([[0, 1, 1, 2]])
    everywhere = torch.tensor([[[True, True, False, True]]])
    assert counts([[0, 1, 2, 1]], target, everywhere) == [[1, 0], [2, 0], [1, 1]]
    by_channel = torch.ones(1, 3, 4, dtype=torch.bool)
    by_channel[0, 2] = False  # nobody outlined class 2
    assert counts([[0, 1, 2, 1]], target, by_channel) == [[1, 0], [2, 0], [2, 0]]


def test_a_region_that_nobody_outlined_does_not_count():
    target = torch.tensor([[[1, 1, 0], [1, 0, 0]]]).bool()
    valid = torch.ones(1, 2, 3, dtype=torch.bool)
    valid[0, 1] = False
    found = counts([[[1, 0, 1], [1, 1, 1]]], target, valid, has_regions=True)
    assert found == [[1, 0], [2, 0], [2, 0]]


def test_the_best_score_is_smoothed_and_missing_scores_change_nothing():
    best = BestScore()
    assert best.update(0.5)
    assert not best.update(None)
    assert not best.update(0.4)
    assert best.smoothed == pytest.approx(0.49)
    assert best.update(0.9)
    assert best.best == pytest.approx(0.531)
