"""Augmentation of the labels that a cascade's second stage gets."""

from __future__ import annotations

import numpy as np
import pytest

from autoseg.augmentation.intensity import draw_intensity
from autoseg.augmentation.previous_stage import closed, dilate, disturb, erode, opened

BALL = np.linalg.norm(np.indices((25, 25, 25)) - 12, axis=0) <= 6


def test_dilation_and_erosion_change_the_radius():
    assert dilate(BALL, 3).sum() == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.1)
    assert erode(BALL, 3).sum() == pytest.approx(4 / 3 * np.pi * 3.3**3, rel=0.25)
    assert not erode(BALL, 8).any()
    assert dilate(np.ones((3, 3), bool), 2).all()


def test_opening_removes_what_is_thin_and_closing_fills_gaps():
    mask = BALL.copy()
    mask[12, 12, :] = True  # a thin line through the ball
    assert not opened(mask, 2)[12, 12, 0]
    gap = BALL.copy()
    gap[12] = False
    assert closed(gap, 2)[12, 12, 12]


def test_disturbed_masks_stay_apart_and_follow_the_seed():
    masks = np.zeros((2, 25, 25, 25), bool)
    masks[0], masks[1] = BALL & (np.indices(BALL.shape)[0] < 12), BALL
    masks[1] &= ~masks[0]
    changed = 0
    for seed in range(30):
        first, second = (disturb(np.random.default_rng(seed), masks.copy()) for _ in range(2))
        assert (first == second).all()
        assert not (first[0] & first[1]).any()
        changed += (first != masks).any()
    assert 8 <= changed <= 25  # p = 1 - 0.6 · 0.8


def test_components_vanish_but_large_ones_stay():
    masks = np.zeros((1, 20, 20), bool)
    masks[0, 2:4, 2:4] = masks[0, 10:12, 10:12] = True
    counts = set()
    for seed in range(60):
        counts.add(int(disturb(np.random.default_rng(seed), masks.copy()).sum()) > 0)
    assert True in counts
    full = np.ones((1, 20, 20), bool)
    for seed in range(20):
        assert disturb(np.random.default_rng(seed), full.copy()).any()


def test_each_small_component_of_a_slice_may_vanish(monkeypatch):
    monkeypatch.setattr("autoseg.augmentation.previous_stage.MORPHOLOGY", 0.0)
    monkeypatch.setattr("autoseg.augmentation.previous_stage.REMOVAL", 1.0)
    mask = np.array([[[0, 1, 0, 0, 0, 1, 0, 0, 0]]], dtype=bool)
    kept = [disturb(np.random.default_rng(seed), mask.copy())[0, 0] for seed in range(20)]
    assert {tuple(np.flatnonzero(row)) for row in kept} == {(1,), (5,)}


def test_coarse_axes_are_not_made_coarser():
    import torch

    plane = torch.zeros(4, 16, 16)
    plane[1] = 1  # slices differ from each other, nothing else does
    touched = 0
    for seed in range(200):
        for _, operation in draw_intensity(np.random.default_rng(seed), 1, 3, flat=True):
            if "low_resolution" in operation.__qualname__:
                assert torch.allclose(operation(plane), plane, atol=1e-5)
                touched += 1
    assert touched > 10


def test_classes_that_are_not_chosen_stay():
    masks = np.zeros((2, 20, 20), bool)
    masks[0, 2:6, 2:6] = masks[1, 10:14, 10:14] = True
    every = [disturb(np.random.default_rng(seed), masks.copy()) for seed in range(40)]
    some = [
        disturb(np.random.default_rng(seed), masks.copy(), class_probability=0.5)
        for seed in range(40)
    ]
    both = [
        sum(((found != masks).any(axis=(1, 2))).all() for found in group) for group in (every, some)
    ]
    assert both[0] > 2 * both[1] > 0
    none = disturb(np.random.default_rng(0), masks.copy(), class_probability=0.0)
    assert (none == masks).all()
