"""The items that take part in a model whose size is quadratic in their number."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences


@dataclass(frozen=True)
class Catalogue:
    """The most popular items of a log.

    Args:
        items: int64 [k], their ids, ascending.
        place: int64 [n_items], 1 + an item's place in `items`, 0 for those that take no part.
    """

    items: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, log: PackedSequences, n_items: int, max_items: int) -> Catalogue:
        """At most so many of the items that somebody touched."""
        counts = np.bincount(log.items, minlength=n_items)
        items = np.sort(np.argsort(-counts, kind="stable")[: min(max_items, int((counts > 0).sum()))])
        place = np.zeros(n_items, dtype=np.int64)
        place[items] = np.arange(1, len(items) + 1)
        return cls(items, place)

    @property
    def size(self) -> int:
        """k + 1."""
        return len(self.items) + 1

    @property
    def known(self) -> Tensor:
        """bool [n_items]."""
        return torch.from_numpy(self.place > 0)

    def within(self, log: PackedSequences) -> PackedSequences:
        """The log of places instead of ids."""
        return replace(log, items=self.place[log.items])
