"""Validation on the validation users: each treated as a new user, after each of its interactions."""

from __future__ import annotations

import copy

import numpy as np

from mml import distributed
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.evaluation.cases import dataset_metrics, rank_cases
from mml.evaluation.ranking import Ranking
from mml.evaluation.scorer import Scorer
from mml.evaluation.settings import RankingRules

_DECIMALS = 6  # of validation scores, however many are reported


class Validation:
    """Ranks validation users' next items and scores them by `valid_metric`.

    Args:
        dataset: where the validation users are.
        valid_metric: such as NDCG@10.
        rules: how targets are ranked.

    Attributes:
        n_left_out: cases whose target is in the user's own history, which `repeatable: False` leaves out.
    """

    def __init__(self, dataset: MMLDataset, valid_metric: str, rules: RankingRules) -> None:
        self.rules = rules
        self.tasks, self.n_left_out = dataset.validation_tasks()
        self.n_candidates = dataset.n_known_items + 1
        self.metric = valid_metric.lower()
        name, _, k = valid_metric.partition("@")
        self.metrics = dataset_metrics(dataset, [name], [int(k)], _DECIMALS)

    def __len__(self) -> int:
        return len(self.tasks)

    def over(self, tasks: TaskSet) -> Validation:
        """The same over other tasks of the validation users."""
        other = copy.copy(self)
        other.tasks = tasks
        return other

    def rank(self, scorer: Scorer, tasks: TaskSet | None = None, topk: int = 0) -> Ranking:
        """Ranks of the tasks' targets (all validation tasks if None), history excluded unless repeatable."""
        return rank_cases(self.rules, scorer, self.tasks if tasks is None else tasks, topk, shared=True)

    def score(self, ranking: Ranking, cases: np.ndarray | slice = slice(None)) -> tuple[float, dict[str, float]]:
        """The value of `valid_metric` over some cases, and the same by name, as RecBole's fit wants it."""
        result = distributed.from_main(lambda: self.metrics(ranking, cases))  # so that all choose alike
        return result[self.metric], result
