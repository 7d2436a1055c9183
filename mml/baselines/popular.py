"""Scores that are the same for everybody."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mml.evaluation.scorer import ItemScores


@dataclass(frozen=True)
class SameScores:
    """The same scores for every case, a Scorer.

    Args:
        values: [n_items].
        n_cases: N.
    """

    values: Tensor
    n_cases: int

    def __len__(self) -> int:
        return self.n_cases

    @property
    def n_items(self) -> int:
        return len(self.values)

    def of_cases(self, cases: slice) -> ItemScores:
        n = len(range(*cases.indices(self.n_cases)))
        return lambda items: self.values[items].expand(n, -1).clone()
