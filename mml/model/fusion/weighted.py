"""Weighted sums of the learners' standardised scores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mml.evaluation.scorer import ItemScores
from mml.model.fusion.standardised import StandardisedScores

_LEAST = 1e-6  # a sum of weights that is rounding and counts as none; it moves no result


def weighted_mean(z: Tensor, weights: Tensor, known: Tensor, unknown: float) -> Tensor:
    """Mean of an item's scores over the learners that know it: [M, c, n], [c, M], [M, n] or [M, c, n] -> [c, n].

    Where a learner does not know an item its z is 0. An item that none of them knows has the score `unknown`.
    """
    total = weights @ known if known.dim() == 2 else torch.einsum("cm,mci->ci", weights, known)
    mean = torch.einsum("cm,mci->ci", weights, z) / total.clamp(min=_LEAST)
    return torch.where(total > _LEAST, mean, unknown)


def common_mean(scores: StandardisedScores, cases: slice, weights: Tensor) -> Tensor:
    """`weighted_mean` of some cases' scores with the same weights [M] for all; [c, n_items].

    Learners without weight are not asked, and no more than two learners' scores are there at a time.
    """
    total, mean = weights @ scores.known(), torch.zeros(())
    for place in weights.nonzero()[:, 0].tolist():
        mean = scores.of_one(place, cases).mul_(weights[place]).add_(mean)
    return torch.where(total > _LEAST, mean / total.clamp(min=_LEAST), scores.unknown)


class WeightedSum:
    """Fixed weights, the same for every case.

    Args:
        scores: the learners' scores.
        weights: learner name -> weight.
    """

    def __init__(self, scores: StandardisedScores, weights: Mapping[str, float]) -> None:
        self._scores = scores
        self._weights = torch.tensor([[weights[name] for name in scores.names]], device=scores.device)

    def __len__(self) -> int:
        return len(self._scores)

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""
        return self._scores.n_items

    def weights(self, cases: slice) -> Tensor:
        """[c, M], each case's weights of the learners."""
        return self._weights.expand(len(range(*cases.indices(len(self)))), -1)

    def of_cases(self, cases: slice) -> ItemScores:
        """Items -> fused scores [c, n]."""
        z = self._scores.of_cases(cases)
        return lambda items: weighted_mean(z(items), self._weights, self._scores.known(items), self._scores.unknown)
