"""Scores that are the same for everybody: how many took an item, and nothing at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mml.baselines.slot import BASELINES, Moment, Scores
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


class PopEntry:
    """Popularity among the old users."""

    name = "Pop"
    settings = None
    meaning = "how many interactions an item has"

    def check(self, moment: Moment) -> None:
        """It works with any data."""

    def trained(self, moment: Moment) -> Scores:
        counts = np.bincount(moment.dataset.users.old.items, minlength=moment.dataset.item_num)
        return _same(torch.from_numpy(counts.astype(np.float64)))


class RandomEntry:
    """Chance."""

    name = "Random"
    settings = None
    meaning = "all items alike: where chance is"

    def check(self, moment: Moment) -> None:
        """It works with any data."""

    def trained(self, moment: Moment) -> Scores:
        return _same(torch.zeros(moment.dataset.item_num))


def _same(values: Tensor) -> Scores:
    return lambda tasks, n_items: SameScores(values[:n_items], len(tasks))


BASELINES.add(PopEntry())
BASELINES.add(RandomEntry())
