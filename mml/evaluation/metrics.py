"""RecBole's metrics from ranks, by RecBole's own Evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from recbole.evaluator import Evaluator
from recbole.evaluator.collector import DataStruct

from mml.evaluation.ranking import Ranking

NEEDS_TOP_ITEMS = frozenset({"itemcoverage", "averagepopularity", "shannonentropy", "giniindex", "tailpercentage"})

_PLACES = 15  # RecBole rounds each block; what is kept is rounded once, at the end
_BLOCK = 4096  # cases at a time: RecBole's metrics hold [cases, k] several times over


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
        settings = {"metrics": metrics, "topk": topk, "metric_decimal_place": _PLACES, "tail_ratio": None}
        self._evaluator = Evaluator(settings)
        self._topk, self._decimals = max(topk), decimals
        self._common = {"data.num_items": n_items, "data.num_users": n_users, "data.count_items": item_counts}
        self.top_items_needed = self._topk if NEEDS_TOP_ITEMS & set(self._evaluator.metrics) else 0

    def __call__(self, ranking: Ranking, cases: np.ndarray | slice = slice(None)) -> dict[str, float]:
        """Metric name (`ndcg@10`) -> mean over the cases."""
        return {name: round(value, self._decimals) for name, value in self._means(ranking, cases).items()}

    def _means(self, ranking: Ranking, cases: np.ndarray | slice) -> dict[str, float]:
        ranks, n_candidates = ranking.ranks[cases], ranking.n_candidates[cases]
        if ranking.top_items is not None or len(ranks) <= _BLOCK:
            return self._of(ranks, n_candidates, None if ranking.top_items is None else ranking.top_items[cases])
        blocks = [slice(begin, begin + _BLOCK) for begin in range(0, len(ranks), _BLOCK)]
        parts = [self._of(ranks[block], n_candidates[block]) for block in blocks]
        sizes = [len(ranks[block]) for block in blocks]
        return {name: float(np.average([part[name] for part in parts], weights=sizes)) for name in parts[0]}

    def _of(self, ranks: np.ndarray, n_candidates: np.ndarray, top_items: np.ndarray | None = None) -> dict[str, float]:
        place = torch.from_numpy(ranks)
        hits = torch.zeros(len(place), self._topk + 1, dtype=torch.int)
        inside = place <= self._topk
        hits[inside.nonzero()[:, 0], place[inside] - 1] = 1
        hits[:, -1] = 1  # RecBole's last column: number of positives, always one target
        data = DataStruct()
        data.set("rec.topk", hits)
        # RecBole's columns: rank of the positive, number of candidates, number of positives
        data.set("rec.meanrank", torch.stack([place, torch.from_numpy(n_candidates), torch.ones_like(place)], 1))
        if top_items is not None:
            data.set("rec.items", torch.from_numpy(top_items))
        for name, value in self._common.items():
            data.set(name, value)
        return {name: float(value) for name, value in self._evaluator.evaluate(data).items()}
