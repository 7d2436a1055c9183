"""Scores of learners on the validation users, and the adaptation chosen by them."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from mml import distributed
from mml.evaluation.cases import rank_cases
from mml.evaluation.ranking import Ranking, tie_draws
from mml.evaluation.validation import Validation
from mml.model.learner.adaptation import (
    Adaptation,
    adapted_states,
    chunk_size,
    states_along_adaptation,
    unadapted_states,
)
from mml.model.learner.base import Learner
from mml.model.learner.outputs import StateOutput

logger = logging.getLogger(__name__)

Score = tuple[float, dict[str, float]]


class LearnerValidation:
    """Scores learners on the validation users.

    Args:
        validation: of the dataset.
        task_chunk_size: user tasks adapted at a time; 0 = choose.
    """

    def __init__(self, validation: Validation, task_chunk_size: int) -> None:
        self.validation, self.task_chunk_size = validation, task_chunk_size

    def __len__(self) -> int:
        return len(self.validation)

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.validation.metric

    def chunk(self, learner: Learner) -> int:
        """User tasks of a learner that adapt at a time."""
        return chunk_size(learner, self.task_chunk_size, learner.max_seq_length)

    def score(self, learner: Learner, how: Adaptation) -> Score:
        """Score of a learner after adaptation."""
        states = adapted_states(learner, self.validation.tasks, how, self.chunk(learner))
        return self.validation.score(self.validation.rank(StateOutput(states, self._table(learner))))

    def score_table(self, learner: Learner, table: Tensor) -> Score:
        """Score of a learner before adaptation if its items had these vectors, [n_items, d]."""
        states = unadapted_states(learner, self.validation.tasks, self.chunk(learner), table)
        candidates = learner.candidates(table[: self.validation.n_candidates])
        return self.validation.score(self.validation.rank(StateOutput(states, candidates)))

    def choose_adaptation(
        self, learner: Learner, rates: tuple[float, ...], max_steps: int
    ) -> tuple[Adaptation, tuple[float, float | None]]:
        """The inner rate and number of steps that score best; the fewest steps among equals, 0 included.

        Steps by which a user's state is no number any more are not among them; a rate that has such is logged.

        Returns:
            The adaptation, and the scores before any and with the best one, chosen or not; None where no step may be.
        """
        best, best_score, before = Adaptation(rates[0], 0), -np.inf, -np.inf
        after: float | None = None
        for rate in rates if not learner.local_rates else rates[:1]:
            for steps, score in enumerate(self._scores_along(learner, rate, max_steps)):
                if steps == 0:
                    before = score
                elif score > -np.inf:
                    after = score if after is None else max(after, score)
                if score > best_score:
                    best, best_score = Adaptation(rate, steps), score
        return best, (before, after)

    def _scores_along(self, learner: Learner, rate: float, max_steps: int) -> list[float]:
        """Of each number of steps; -inf where some have led to states that are no numbers."""
        tasks, rules = self.validation.tasks, self.validation.rules
        if not rules.repeatable:
            tasks.n_different  # noqa: B018 - looked up once, not for each chunk
        ranks = np.zeros((max_steps + 1, len(tasks)), dtype=np.int64)
        candidates = np.zeros(len(tasks), dtype=np.int64)
        diverged = np.zeros(max_steps + 1, dtype=np.int64)
        own, draws = distributed.share(tasks.length), tie_draws(len(tasks), rules.seed)
        table, rates, chunk = self._table(learner), learner.inner_rates(rate), self.chunk(learner)
        for chosen, step, states in states_along_adaptation(learner, tasks.take(own), rates, max_steps, chunk):
            rows = own[chosen]
            scorer = StateOutput(states, table)
            ranking = rank_cases(rules, scorer, tasks.take(rows), draws=draws[torch.from_numpy(rows)])
            ranks[step, rows], candidates[rows] = ranking.ranks, ranking.n_candidates
            diverged[step] += step > 0 and not bool(states.isfinite().all())
        ranks, candidates, diverged = map(distributed.add_array, (ranks, candidates, diverged))
        if diverged.any():
            logger.warning(
                "%s: adaptation at rate %g diverges for validation users from step %d on; use a smaller "
                "adapt_learning_rate.",
                learner.name,
                rate,
                int(np.flatnonzero(diverged)[0]),
            )
        rankings = [Ranking(of_step, candidates, None) for of_step in ranks]
        scores = [self.validation.score(ranking)[0] for ranking in rankings]
        return [-np.inf if n else score for score, n in zip(scores, diverged, strict=True)]

    @torch.no_grad()
    def _table(self, learner: Learner) -> Tensor:
        return learner.candidate_table()[: self.validation.n_candidates]
