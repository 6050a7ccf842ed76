from __future__ import annotations

import pytest
import torch
from torch import nn

from autoseg.training.weight_average import WeightAverage


def test_parameters_and_buffers_are_averaged_and_counters_copied():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = WeightAverage(network, 0.75)
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        average.network[0].weight.fill_(0.0)
        network[1].running_mean.fill_(8.0)
    network[1].num_batches_tracked.fill_(5)
    average.update(network, step=1000)
    assert torch.allclose(average.network[0].weight, torch.full((2, 2), 0.25))
    assert torch.allclose(average.network[1].running_mean, torch.full((2,), 2.0))
    assert int(average.network[1].num_batches_tracked) == 5


def test_statistics_of_a_batch_norm_reach_the_model():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    average = WeightAverage(network, 0.9)
    for step in range(1, 200):
        network(3 + 2 * torch.randn(4, 1, 8, 8))
        average.update(network, step)
    mean = network[0].weight.flatten() * 3 + network[0].bias
    assert average.network[1].running_mean == pytest.approx(mean.detach(), abs=0.5)


def test_young_averages_forget_fast():
    network = nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, 0.999)
    with torch.no_grad():
        network.weight.fill_(1.0)
        average.network.weight.fill_(0.0)
    average.update(network, step=1)
    assert float(average.network.weight) == pytest.approx(1 - 2 / 11)
