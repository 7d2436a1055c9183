"""Which items follow an item, near or further on: a Markov chain with decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from mml.data.sequences import PackedSequences
from mml.model.log.catalogue import Catalogue
from mml.model.log.item_to_item import ItemToItem
from mml.model.log.pairs import lags_that_count, pair_sums
from mml.model.log.prior import PriorMethod
from mml.model.log.slot import LogModel
from mml.settings import setting


@dataclass(frozen=True)
class Markov(PriorMethod):
    """B_ji = C_ji / (sum_i C_ji + shrinkage), C_ji the sum of link^(lag - 1) over pairs where i is after j."""

    stage: ClassVar[str] = "baseline"
    section: ClassVar[str] = "Markov"
    asked_with: ClassVar[tuple[str, ...]] = ("decay",)
    link: float = setting(0.8, "Weight of what comes one place later against what comes next.", low=0.0, high=1.0)
    decay: float = setting(0.8, "Weight of an item of the history against the next one's.", low=0.0, high=1.0)
    shrinkage: float = setting(10.0, "So many unseen transitions of each item lead nowhere.", low=0.0)
    max_lag: int = setting(50, "Interactions further apart are no pair.", low=1)
    searched: Mapping[str, Sequence[float]] = setting(
        {
            "link": [0.0, 0.4, 0.6, 0.8, 0.9],
            "decay": [0.2, 0.4, 0.6, 0.8, 0.9, 1.0],
            "shrinkage": [0.0, 3.0, 10.0, 30.0],
        },
        "Values tried on the newcomers of earlier moments, by setting.",
    )

    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        catalogue = Catalogue.of(log, n_items, n_items)

        def weight(lag: int, later: np.ndarray) -> np.ndarray:
            return np.full(1, self.link ** (lag - 1))

        lags = lags_that_count(self.link, 1, self.max_lag)
        counts = pair_sums(catalogue.within(log), catalogue.size, lags, weight)
        total = np.asarray(counts.sum(1)).ravel() + self.shrinkage
        return ItemToItem((sp.diags(1 / np.maximum(total, 1e-12)) @ counts).tocsr(), catalogue, self.decay)
