"""Validation on the validation users: each treated as a new user, after each of its interactions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mml import distributed
from mml.config import Config
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import BlockScorer, Ranking, Scorer, StateScorer, rank_targets, tie_draws
from mml.evaluation.states import (
    Adaptation,
    adapted_states,
    chunk_size,
    states_along_adaptation,
    unadapted_states,
)
from mml.model.learner import Learner
from mml.model.linear import LinearModel, LinearOutput
from mml.model.losses import full_softmax_loss
from mml.model.scores import with_constant


class Validation:
    """Ranks validation users' next items and scores them by `valid_metric`; or scores a learner by their likelihood.

    With `choose_by: log_likelihood` a learner's score is the mean log probability of the next items, among the warm
    ones as in training. On a few dozen users it chooses an epoch far more steadily than a count of hits does. BPR gives
    no probabilities, so there `valid_metric` chooses.

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
        self.metrics = dataset_metrics(config, dataset, [name], [int(k)])
        self._warm_targets = self.tasks.target <= dataset.n_warm_items
        likelihood = config["choose_by"] == "log_likelihood" and config["loss_type"] != "BPR"
        self.by_likelihood = likelihood and bool(self._warm_targets.any())
        """Whether learners are scored by likelihood."""

    def __len__(self) -> int:
        return len(self.tasks)

    def rank(self, scorer: Scorer | BlockScorer, tasks: TaskSet | None = None, topk: int = 0) -> Ranking:
        """Ranks of the tasks' targets (all validation tasks if None), history excluded unless repeatable."""
        return rank_cases(self.config, scorer, self.tasks if tasks is None else tasks, topk, shared=True)

    def score(self, ranking: Ranking, cases: np.ndarray | slice = slice(None)) -> tuple[float, dict[str, float]]:
        """The value of `valid_metric` over some cases, and the same by name, as RecBole's fit wants it."""
        result = distributed.from_main(lambda: self.metrics(ranking, cases))  # so that all choose alike
        return result[self.metric], result

    def score_learner(self, learner: Learner, how: Adaptation) -> tuple[float, dict[str, float]]:
        """Score of a learner after adaptation, and the same by name."""
        chunk = chunk_size(learner, self.config["task_chunk_size"], learner.max_seq_length)
        states = adapted_states(learner, self.tasks, how, chunk)
        if self.by_likelihood:
            score = self._mean(log_likelihoods(learner, states, self.tasks))
            return score, {"log_likelihood": score}
        with torch.no_grad():
            table = learner.candidate_table()[: self.n_candidates]
        return self.score(self.rank(StateScorer(states, table)))

    def score_linear(self, model: LinearModel) -> float:
        """Score of a LinearModel; likelihoods are of its predictions as shares, among the items it knows."""
        if not self.by_likelihood:
            return self.score(self.rank(LinearOutput(model, self.tasks, self.n_candidates)))[0]
        place = model.place[torch.from_numpy(self.tasks.target).to(model.place.device)]
        total = count = 0.0
        for rows in torch.arange(len(self.tasks)).split(self.config["eval_batch_size"]):
            scores = model.scores(self.tasks.inputs(rows.numpy()))[:, 1:].log_softmax(1)
            target = place[rows]
            known = target > 0
            total += float(scores[known].gather(1, target[known, None] - 1).sum())
            count += float(known.sum())
        return total / max(count, 1.0)

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
        own, draws = distributed.share(self.tasks.length), tie_draws(len(self.tasks), self.config["seed"])
        shape = (max_steps + 1, len(self.tasks))
        values = np.zeros(shape) if self.by_likelihood else np.zeros(shape, dtype=np.int64)
        candidates = np.zeros(len(self.tasks), dtype=np.int64)
        with torch.no_grad():
            table = learner.candidate_table()[: self.n_candidates]
        rates = learner.inner_rates(rate)
        for chosen, step, states in states_along_adaptation(learner, self.tasks.take(own), rates, max_steps, chunk):
            rows = own[chosen]
            tasks = self.tasks.take(rows)
            if self.by_likelihood:
                values[step, rows] = log_likelihoods(learner, states, tasks)
                continue
            ranking = rank_cases(self.config, StateScorer(states, table), tasks, draws=draws[torch.from_numpy(rows)])
            values[step, rows], candidates[rows] = ranking.ranks, ranking.n_candidates
        values, candidates = distributed.add_array(values), distributed.add_array(candidates)
        if self.by_likelihood:
            return [self._mean(of_step) for of_step in values]
        return [self.score(Ranking(ranks, candidates, None))[0] for ranks in values]

    def _mean(self, likelihoods: np.ndarray) -> float:
        return distributed.from_main(lambda: float(likelihoods[self._warm_targets].mean()))


@torch.no_grad()
def log_likelihoods(learner: Learner, states: Tensor, tasks: TaskSet) -> np.ndarray:
    """Log probability of each task's target among the warm items, [N] from states [N, d]; 0 where it is cold."""
    table = learner.candidates(learner.warm_table())
    target = torch.from_numpy(tasks.target).to(states.device)
    warm = target <= learner.n_warm_items
    losses = full_softmax_loss(with_constant(states[warm], table), table, target[warm])
    result: np.ndarray = (
        states.new_zeros(len(states), dtype=torch.float64).masked_scatter(warm, -losses.double()).cpu().numpy()
    )
    return result


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


def dataset_metrics(config: Config, dataset: MMLDataset, metrics: Sequence[str], topk: Sequence[int]) -> Metrics:
    """RecBole's metrics over the dataset; popularity is that among the old users."""
    item_counts = {item: int(n) for item, n in enumerate(dataset.item_counts) if n}
    return Metrics(metrics, topk, config["metric_decimal_place"], dataset.item_num, dataset.user_num, item_counts)
