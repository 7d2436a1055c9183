"""The average of a learner's weights over training."""

from __future__ import annotations

import torch
from torch import nn

from mml.trainer.averaging import WeightAverage

ETA = 8.0


def averaged_value(average: WeightAverage, layer: nn.Linear) -> float:
    with average.applied():
        return float(layer.weight)


def test_it_equals_the_weighted_mean_of_all_steps() -> None:
    layer = nn.Linear(1, 1, bias=False)
    average, expected = WeightAverage(layer, ETA), 0.0
    for step in range(1, 60):
        with torch.no_grad():
            layer.weight.fill_(float(step))
        average.update()
        expected += 9 / (step + 9) * (step - expected)
    first = 1 - 9 / 10  # what is left of the untrained weights after a step, and hardly anything after 59
    assert abs(averaged_value(average, layer) - expected) < first * 59**-2
    assert expected < 59  # it lags behind the last step


def test_it_forgets_the_untrained_weights() -> None:
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1000.0)
    average = WeightAverage(layer, ETA)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    for _ in range(50):
        average.update()
    assert abs(averaged_value(average, layer) - 1.0) < 1e-3


def test_the_module_gets_its_own_weights_back() -> None:
    layer = nn.Linear(3, 2)
    average = WeightAverage(layer, ETA)
    with torch.no_grad():
        layer.weight.add_(1.0)
    before = layer.weight.detach().clone()
    with average.applied():
        assert not torch.equal(layer.weight, before)
    assert torch.equal(layer.weight, before)
