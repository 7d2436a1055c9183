"""What a trained learner knows of its items before any user asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mml.meta.inner import Params

if TYPE_CHECKING:
    from mml.model.learner.base import Learner

Moments = tuple[Tensor, Tensor]
"""Mean [k] and covariance [k, k] of the warm items' rows."""


@dataclass(frozen=True)
class Start:
    """What a learner's adaptation starts from, the same for all users.

    Args:
        vectors: items' vectors, [n_items, d].
        candidates: what the warm items are scored by in training, [n_warm + 1, d or d + 1].
        phi: the parameters that adapt.
    """

    vectors: Tensor
    candidates: Tensor
    phi: Params

    @classmethod
    @torch.no_grad()
    def of(cls, learner: Learner) -> Start:
        """As the learner is now."""
        vectors = learner.item_table()
        return cls(vectors, learner.training_candidates(vectors), learner.fast_parameters())


@dataclass(frozen=True)
class ItemTables:
    """A learner's items.

    Args:
        start: what its adaptation starts from.
        candidates: [n_items, d + R], what items are scored by.
        trained: bool [n_items], the items that were candidates in training.
        moments: of the candidates.
    """

    start: Start
    candidates: Tensor
    trained: Tensor
    moments: Moments


def moments_of(table: Tensor, n_warm_items: int) -> Moments:
    """Mean [k] and covariance [k, k] of the rows 1..n_warm_items of a table [n, k]."""
    warm = table[1 : n_warm_items + 1]
    return warm.mean(0), torch.cov(warm.T, correction=0)
