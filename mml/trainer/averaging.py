"""Averaged weights: validated and kept instead of the last step's, which are noisy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mml.files.bundle import State


class WeightAverage:
    """Polynomial-decay average of a module's weights over training (Shamir and Zhang, ICML 2013, section 4).

    After step t the average moves towards the weights by (eta + 1) / (t + eta + 1). So it forgets the beginning at
    any length of training, and has no horizon to tune.

    Args:
        module: whose parameters are averaged.
        eta: the average reaches back over about the last 1 / (eta + 1) of the steps, however many there are.
    """

    def __init__(self, module: nn.Module, eta: float) -> None:
        self._eta = eta
        self._parameters = list(module.parameters())
        self._average = [value.detach().clone() for value in self._parameters]
        self._steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an optimiser step."""
        self._steps += 1
        weight = (self._eta + 1) / (self._steps + self._eta + 1)
        torch._foreach_lerp_(self._average, [value.detach() for value in self._parameters], weight)

    def state(self) -> State:
        """All that `restore` needs, as tensors and numbers."""
        return {"steps": self._steps, "values": {str(place): value for place, value in enumerate(self._average)}}

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """Go on where `state` was asked."""
        self._steps = state["steps"]
        for place, average in enumerate(self._average):
            average.copy_(state["values"][str(place)])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this context the module has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for value, average in zip(self._parameters, self._average, strict=True):
            kept = value.detach().clone()
            value.copy_(average)
            average.copy_(kept)
