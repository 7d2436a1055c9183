"""Validation on the validation users: each treated as a new user, after each of its interactions."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mml import distributed
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import BlockScorer, Ranking, Scorer, StateScorer, rank_targets, tie_draws
from mml.model.learner.adaptation import (
    Adaptation,
    adapted_states,
    chunk_size,
    states_along_adaptation,
    unadapted_states,
)
from mml.model.learner.base import Learner

_DECIMALS = 6  # of validation scores, however many are reported


class Validation:
    """Ranks validation users' next items and scores them by `valid_metric`.

    Args:
        config: mml's Config.
        dataset: where the validation users are.
    """

    def __init__(self, config: Config, dataset: MMLDataset) -> None:
        self.config = config
        self.tasks = dataset.validation_tasks()
        if not config["repeatable"]:
            self.tasks = self.tasks.take(~dataset.target_in_history(self.tasks))
        self.n_candidates = dataset.n_known_items + 1
        self.metric = config["valid_metric"].lower()
        name, _, k = config["valid_metric"].partition("@")
        self.metrics = dataset_metrics(config, dataset, [name], [int(k)], _DECIMALS)

    def __len__(self) -> int:
        return len(self.tasks)

    def over(self, tasks: TaskSet) -> Validation:
        """The same over other tasks of the validation users."""
        other = copy.copy(self)
        other.tasks = tasks
        return other

    def rank(self, scorer: Scorer | BlockScorer, tasks: TaskSet | None = None, topk: int = 0) -> Ranking:
        """Ranks of the tasks' targets (all validation tasks if None), history excluded unless repeatable."""
        return rank_cases(self.config, scorer, self.tasks if tasks is None else tasks, topk, shared=True)

    def score(self, ranking: Ranking, cases: np.ndarray | slice = slice(None)) -> tuple[float, dict[str, float]]:
        """The value of `valid_metric` over some cases, and the same by name, as RecBole's fit wants it."""
        result = distributed.from_main(lambda: self.metrics(ranking, cases))  # so that all choose alike
        return result[self.metric], result

    def score_learner(self, learner: Learner, how: Adaptation) -> tuple[float, dict[str, float]]:
        """Score of a learner after adaptation."""
        chunk = chunk_size(learner, self.config["task_chunk_size"], learner.max_seq_length)
        states = adapted_states(learner, self.tasks, how, chunk)
        with torch.no_grad():
            table = learner.candidate_table()[: self.n_candidates]
        return self.score(self.rank(StateScorer(states, table)))

    def score_table(self, learner: Learner, table: Tensor) -> tuple[float, dict[str, float]]:
        """Score of a learner before adaptation if its items had these vectors, [n_items, d]."""
        chunk = chunk_size(learner, self.config["task_chunk_size"], learner.max_seq_length)
        states = unadapted_states(learner, self.tasks, chunk, table)
        return self.score(self.rank(StateScorer(states, learner.candidates(table[: self.n_candidates]))))

    def choose_adaptation(self, learner: Learner, rates: list[float], max_steps: int) -> Adaptation:
        """The inner rate and number of steps that score best; the fewest steps among equals, 0 included."""
        best, best_score = Adaptation(rates[0], 0), -np.inf
        for rate in rates if not learner.local_rates else rates[:1]:
            for steps, score in enumerate(self._scores_along(learner, rate, max_steps)):
                if score > best_score:
                    best, best_score = Adaptation(rate, steps), score
        return best

    def _scores_along(self, learner: Learner, rate: float, max_steps: int) -> list[float]:
        chunk = chunk_size(learner, self.config["task_chunk_size"], learner.max_seq_length)
        ranks = np.zeros((max_steps + 1, len(self.tasks)), dtype=np.int64)
        candidates = np.zeros(len(self.tasks), dtype=np.int64)
        own, draws = distributed.share(self.tasks.length), tie_draws(len(self.tasks), self.config["seed"])
        with torch.no_grad():
            table = learner.candidate_table()[: self.n_candidates]
        rates = learner.inner_rates(rate)
        for chosen, step, states in states_along_adaptation(learner, self.tasks.take(own), rates, max_steps, chunk):
            rows = own[chosen]
            scorer = StateScorer(states, table)
            ranking = rank_cases(self.config, scorer, self.tasks.take(rows), draws=draws[torch.from_numpy(rows)])
            ranks[step, rows], candidates[rows] = ranking.ranks, ranking.n_candidates
        ranks, candidates = distributed.add_array(ranks), distributed.add_array(candidates)
        return [self.score(Ranking(ranks[step], candidates, None))[0] for step in range(max_steps + 1)]


class _Inputs:
    """The tasks' inputs, padded slice by slice."""

    def __init__(self, tasks: TaskSet) -> None:
        self._tasks = tasks

    def __getitem__(self, cases: slice) -> np.ndarray:
        return self._tasks.inputs(cases)


def rank_cases(
    config: Config,
    scorer: Scorer | BlockScorer,
    tasks: TaskSet,
    topk: int = 0,
    draws: Tensor | None = None,
    shared: bool = False,
) -> Ranking:
    """`rank_targets` of the tasks' targets, by the config's `repeatable`, `seed` and `eval_batch_size`."""
    history = None if config["repeatable"] else _Inputs(tasks)
    block = config["eval_batch_size"]
    return rank_targets(scorer, tasks.target, history, config["seed"], block, topk, draws=draws, shared=shared)


Part = tuple[np.ndarray, Scorer | BlockScorer]
"""Some of the tasks, int64 places, and their scores."""


def rank_parts(config: Config, parts: Sequence[Part], tasks: TaskSet, topk: int = 0) -> Ranking:
    """`rank_cases` where parts of the tasks have scorers of their own."""
    draws = tie_draws(len(tasks), config["seed"])
    return Ranking.joined(
        [
            (cases, rank_cases(config, scorer, tasks.take(cases), topk, draws[torch.from_numpy(cases)]))
            for cases, scorer in parts
        ]
    )


def dataset_metrics(
    config: Config, dataset: MMLDataset, metrics: Sequence[str], topk: Sequence[int], decimals: int | None = None
) -> Metrics:
    """RecBole's metrics over the dataset; popularity is that among the old users.

    `decimals` are kept, or if None those of `metric_decimal_place`.
    """
    item_counts = {item: int(n) for item, n in enumerate(dataset.item_counts) if n}
    decimals = config["metric_decimal_place"] if decimals is None else decimals
    return Metrics(metrics, topk, decimals, dataset.item_num, dataset.user_num, item_counts)
