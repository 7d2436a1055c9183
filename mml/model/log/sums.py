"""Sums of several models' scores, each standardised per case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.model.log.slot import LogMethod, LogModel, touched


class SumOfScores:
    """score(i) = sum over models of weight z_i, z of mean 0 and deviation 1 per case over the warm items it knows.

    What a model does not know counts as 0: neither for nor against the item.

    Args:
        models: at least one, over the same items.
        warm: bool [n_items], over which items scores are standardised, so that cold ones do not change them.
        weights: one for each model; all alike if None.
    """

    def __init__(self, models: Sequence[LogModel], warm: Tensor, weights: Sequence[float] | None = None) -> None:
        self._models, self._warm = list(models), warm
        self._weights = [1.0 / len(models)] * len(models) if weights is None else list(weights)
        self.known = torch.stack([model.known for model in models]).any(0)

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None, shots: np.ndarray | None = None) -> Tensor:
        """[c, n_items] after histories [c, L] (see LogModel)."""
        total = torch.zeros(len(histories), len(self.known))
        for model, weight in zip(self._models, self._weights, strict=True):
            total += weight * standardised(model.scores(histories, own, shots).float(), model.known, self._warm)
        return total


@dataclass(frozen=True)
class SumMethod(LogMethod):
    """The plain sum of several methods, over the items of the log.

    Args:
        methods: at least one.
    """

    methods: tuple[LogMethod, ...] = ()

    def in_longer(self, times_as_long: float) -> SumMethod:
        return replace(self, methods=tuple(method.in_longer(times_as_long) for method in self.methods))

    def fit(self, log: PackedSequences, n_items: int, times: np.ndarray | None = None) -> SumOfScores:
        return SumOfScores([method.fit(log, n_items, times) for method in self.methods], touched(log, n_items))


def standardised(scores: Tensor, known: Tensor, warm: Tensor) -> Tensor:
    """Scores [c, n_items] of mean 0 and deviation 1 over the warm known items; unknown ones have 0."""
    over = scores[:, known & warm]
    if not over.shape[1]:
        return torch.zeros_like(scores)
    deviation = over.std(1, correction=0, keepdim=True).clamp(min=1e-6)
    return (scores - over.mean(1, keepdim=True)) / deviation * known
