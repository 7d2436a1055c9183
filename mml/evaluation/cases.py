"""Cases: ranked together, grouped for the report, and measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import Ranking, rank_targets, tie_draws
from mml.evaluation.scorer import Scorer
from mml.evaluation.settings import RankingRules

GroupMetrics = dict[str, dict[str, float]]
Part = tuple[np.ndarray, Scorer]
"""Some of the tasks, int64 places, and their scores."""


class WholeHistories:
    """All that the tasks' users had before, padded slice by slice: what are no candidates."""

    def __init__(self, tasks: TaskSet) -> None:
        self._tasks = tasks

    def __getitem__(self, cases: slice) -> np.ndarray:
        return self._tasks.histories(cases)

    @property
    def n_different(self) -> np.ndarray:
        """int64 [N], different items of each."""
        return self._tasks.n_different


def rank_cases(
    rules: RankingRules,
    scorer: Scorer,
    tasks: TaskSet,
    topk: int = 0,
    draws: Tensor | None = None,
    shared: bool = False,
) -> Ranking:
    """`rank_targets` of the tasks' targets, by the rules."""
    history = None if rules.repeatable else WholeHistories(tasks)
    return rank_targets(scorer, tasks.target, history, rules.seed, rules.block, topk, draws=draws, shared=shared)


def rank_parts(rules: RankingRules, parts: Iterable[Part], tasks: TaskSet, topk: int = 0) -> Ranking:
    """`rank_cases` where parts of the tasks have scorers of their own."""
    draws = tie_draws(len(tasks), rules.seed)
    return Ranking.joined(
        [
            (cases, rank_cases(rules, scorer, tasks.take(cases), topk, draws[torch.from_numpy(cases)]))
            for cases, scorer in parts
        ]
    )


def case_groups(tasks: TaskSet, n_warm_items: int) -> dict[str, np.ndarray]:
    """Group name -> indices [n] of its cases: all, by target (warm, cold), by shots; empty groups are left out."""
    cold = tasks.target > n_warm_items
    masks = {"all": np.ones(len(tasks), dtype=bool), "warm_target": ~cold, "cold_target": cold}
    masks |= {f"shots_{k}": tasks.shots == k for k in np.unique(tasks.shots)}
    return {name: np.flatnonzero(mask) for name, mask in masks.items() if mask.any()}


def group_metrics(ranking: Ranking, tasks: TaskSet, n_warm_items: int, metrics: Metrics) -> GroupMetrics:
    """Group -> metric -> value, with each group's number of users and cases."""
    return {
        group: {
            **metrics(ranking, cases),
            "n_users": len(np.unique(tasks.users[cases])),
            "n_cases": len(cases),
        }
        for group, cases in case_groups(tasks, n_warm_items).items()
    }


def dataset_metrics(dataset: MMLDataset, metrics: Sequence[str], topk: Sequence[int], decimals: int) -> Metrics:
    """RecBole's metrics over the dataset, to so many decimals; popularity is that among the old users."""
    item_counts = {item: int(n) for item, n in enumerate(dataset.item_counts) if n}
    return Metrics(metrics, topk, decimals, dataset.item_num, dataset.user_num, item_counts)
