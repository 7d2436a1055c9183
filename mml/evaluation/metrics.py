"""RecBole's metrics from ranks, by RecBole's own Evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from recbole.evaluator import Evaluator
from recbole.evaluator.collector import DataStruct

from mml.evaluation.ranking import Ranking

NEEDS_TOP_ITEMS = frozenset({"itemcoverage", "averagepopularity", "shannonentropy", "giniindex", "tailpercentage"})


class Metrics:
    """Computes the metrics of the config for groups of cases.

    Args:
        metrics, topk: as in RecBole's config.
        decimals: places kept.
        n_items: catalogue size, the padding included.
        n_users: number of users, the padding included.
        item_counts: training interactions of each item id, for the popularity metrics.
    """

    def __init__(
        self,
        metrics: Sequence[str],
        topk: Sequence[int],
        decimals: int,
        n_items: int,
        n_users: int,
        item_counts: Mapping[int, int],
    ) -> None:
        settings = {"metrics": metrics, "topk": topk, "metric_decimal_place": decimals, "tail_ratio": None}
        self._evaluator = Evaluator(settings)
        self._topk = max(topk)
        self._common = {"data.num_items": n_items, "data.num_users": n_users, "data.count_items": item_counts}
        self.top_items_needed = self._topk if NEEDS_TOP_ITEMS & set(self._evaluator.metrics) else 0

    def __call__(self, ranking: Ranking, cases: np.ndarray | slice = slice(None)) -> dict[str, float]:
        """Metric name (`ndcg@10`) -> mean over the cases."""
        ranks = torch.from_numpy(ranking.ranks[cases])
        hits = torch.zeros(len(ranks), self._topk + 1, dtype=torch.int)
        inside = ranks <= self._topk
        hits[inside.nonzero()[:, 0], ranks[inside] - 1] = 1
        hits[:, -1] = 1  # RecBole's last column: number of positives, always one target
        n_candidates = torch.from_numpy(ranking.n_candidates[cases])
        data = DataStruct()
        data.set("rec.topk", hits)
        # RecBole's columns: rank of the positive, number of candidates, number of positives
        data.set("rec.meanrank", torch.stack([ranks, n_candidates, torch.ones_like(ranks)], 1))
        if ranking.top_items is not None:
            data.set("rec.items", torch.from_numpy(ranking.top_items[cases]))
        for name, value in self._common.items():
            data.set(name, value)
        return {name: float(value) for name, value in self._evaluator.evaluate(data).items()}
