"""The losses of a batch of tasks as functions of stacked fast weights, for the engine in mml.meta."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import embedding  # unlike indexing, its gradient does not depend on the threads

from mml.data.tasks import TaskBatch
from mml.meta.inner import Fast, Params, Rates, descended
from mml.model.encoder.plain import passes_of
from mml.model.encoder.slot import HasBriefStates, TaskInputs
from mml.protocols import follows

if TYPE_CHECKING:
    from mml.model.learner.base import Learner

Positions = tuple[Tensor, ...]
"""Rows and columns, int64 [P] each."""


class _Tasks:
    """U tasks of one learner: what does not depend on the fast weights, and what all losses of an episode share.

    An object of its own, so that an episode's losses hold no reference to the episode: of such a ring the memory of a
    whole chunk would wait for the garbage collector.

    Args:
        learner, batch, table, candidates: see Episode.
    """

    def __init__(self, learner: Learner, batch: TaskBatch, table: Tensor, candidates: Tensor | None) -> None:
        self.learner, self.batch, self.table, self._candidates = learner, batch, table, candidates
        self.vectors = embedding(batch.item_seq, table)  # [U, L, d]
        inputs = TaskInputs(self.vectors, learner.attention_bias(batch.item_seq), batch.noise_keys)
        self.passes = passes_of(learner.encoder, inputs)

    def __len__(self) -> int:
        return len(self.batch)

    def weights(self, positions: Positions) -> Tensor:
        """What each position counts in its task's mean, [P]."""
        count = torch.bincount(positions[0], minlength=len(self))
        return (1.0 / count.to(self.vectors.dtype))[positions[0]]

    def summed(self, states: Tensor, positions: Positions, weights: Tensor) -> Tensor:
        """Weighted sum of the losses of each task's positions, [U]."""
        targets, negatives = self.batch.targets[positions], self.batch.negatives_of(positions)
        losses = self.learner.prediction_loss(states[positions], self.table, targets, negatives) * weights
        return losses.new_zeros(len(self)).index_add(0, positions[0], losses)

    @cached_property
    def candidates(self) -> Tensor:
        """What the inner loop scores items by; no gradient flows to it."""
        if self._candidates is not None:
            return self._candidates
        with torch.no_grad():
            return self.learner.training_candidates(self.table.detach())

    def slopes(self, picked: Tensor, targets: Tensor, negatives: Tensor | None, weights: Tensor) -> Tensor:
        """Gradient of `summed`, summed over tasks, by the states of P positions, [P, d]; none by the table."""
        slopes = self.learner.prediction_slopes(picked, self.candidates, targets, negatives)
        return slopes * weights[:, None]


class Episode:
    """U tasks of one learner. What does not depend on the fast weights is computed once, here.

    What a task adapts to is taken without dropout, in training as in adaptation, so that both inner loops are the same.

    Args:
        learner: see Learner.
        batch: U tasks.
        table: vectors of inputs and candidates, [n, d]; the warm items' if None.
        candidates: the table's `training_candidates`, if they are known already.
    """

    def __init__(
        self, learner: Learner, batch: TaskBatch, table: Tensor | None = None, candidates: Tensor | None = None
    ) -> None:
        table = learner.warm_table() if table is None else table
        self._tasks = tasks = _Tasks(learner, batch, table, candidates)
        self._counts = learner.is_candidate(batch.targets)  # a new user's support may hold items that are none
        self._support: Positions = (batch.support & self._counts).nonzero(as_tuple=True)
        self.support_loss = InnerLoss(tasks, self._support, tasks.weights(self._support))
        """Mean loss over each task's support positions, [U]; 0 for a task without support."""

    def __len__(self) -> int:
        return len(self._tasks)

    @cached_property
    def _query(self) -> Positions:
        return (self._tasks.batch.query & self._counts).nonzero(as_tuple=True)

    def states(self, fast: Fast, dropout: bool = False, leaves: Params | None = None) -> Tensor:
        """States [U, L, d] under stacked fast weights, with dropout if wanted and the learner is in training.

        `leaves` as in `TaskPasses.differentiable_states`.
        """
        tasks = self._tasks
        return tasks.passes.differentiable_states(
            fast, tasks.vectors.shape[1], dropout and tasks.learner.training, leaves
        )

    @cached_property
    def joined_loss(self) -> InnerLoss:
        """Support loss plus query loss, [U], both without dropout: what `reptile` adapts to."""
        both = (self._support, self._query)
        positions = tuple(torch.cat(pair) for pair in zip(*both, strict=True))
        return InnerLoss(self._tasks, positions, torch.cat([self._tasks.weights(part) for part in both]))

    def query_loss(self, fast: Params) -> Tensor:
        """Mean loss over each task's query positions, [U]."""
        return self._of_query(self.states(fast, dropout=True))

    def query_loss_at(self, fast: Fast, leaves: Params) -> Tensor:
        """The query losses [U]; their gradient by the fast weights, summed over tasks, goes to `leaves`."""
        return self._of_query(self.states(fast, dropout=True, leaves=leaves))

    def _of_query(self, states: Tensor) -> Tensor:
        return self._tasks.summed(states, self._query, self._tasks.weights(self._query))


class InnerLoss:
    """What the tasks of an episode adapt to. Only the positions up to the last one that counts are run.

    Called, it gives the losses, differentiable. `descend` goes down their gradients without computing them.

    Args:
        tasks: see _Tasks.
        positions: those that count.
        weights: what each of them counts, [P].
    """

    def __init__(self, tasks: _Tasks, positions: Positions, weights: Tensor) -> None:
        self._tasks, self._positions, self._weight = tasks, positions, weights
        self._length = int(positions[1].max()) + 1 if len(positions[1]) else 1
        self._is_whole = len(tasks) == 1 and len(positions[1]) == self._length  # all positions of the only task

    def __call__(self, fast: Params) -> Tensor:
        states = self._tasks.passes.differentiable_states(fast, self._length)
        return self._tasks.summed(states, self._positions, self._weight)

    def states(self, fast: Fast) -> Tensor:
        """States [U, L, d] of all positions, without dropout and graph."""
        return self._tasks.passes.states(fast, self._tasks.vectors.shape[1])

    def begin(self, initial: Mapping[str, Tensor], n_tasks: int) -> Fast:
        """The fast weights before the first step."""
        return self._tasks.passes.begin(initial, n_tasks)

    def descend(self, fast: Fast, rates: Rates) -> Fast:
        """The fast weights after a step of gradient descent. Those given are used up: they may be changed in place."""
        if not len(self._positions[0]):  # nothing to learn from
            return fast
        return self._tasks.passes.descended(fast, rates, self._length, self._slopes)

    def states_after(self, initial: Params, rates: Rates, steps: int, wanted: Tensor) -> Tensor:
        """The states [U, d] after so many steps from `initial`, without dropout and graph.

        `wanted`, bool [U, L], has one position of each task.
        """
        n, passes = len(self._tasks), self._tasks.passes
        if follows(passes, HasBriefStates):  # type: ignore[type-abstract]
            done = steps if len(self._positions[0]) else 0
            found = passes.brief_states(
                initial, rates, done, self._length, self._slopes, wanted.to(torch.uint8).argmax(1)
            )
            if found is not None:
                return found
        return self.states(descended(self, initial, n, rates, steps))[wanted]

    def tensors(self, fast: Fast) -> Params:
        """The fast weights as stacked tensors."""
        return self._tasks.passes.tensors(fast)

    def _slopes(self, states: Tensor) -> Tensor:
        """Gradient of the losses by the states, [U, l, d]; none by the table."""
        if self._is_whole and states.shape[1] == self._length:
            return self._tasks.slopes(states[0], *self._asked, self._weight)[None]
        picked = self._tasks.slopes(states[self._positions], *self._asked, self._weight)
        return torch.zeros_like(states).index_put_(self._positions, picked)

    @cached_property
    def _asked(self) -> tuple[Tensor, Tensor | None]:
        """Targets and negatives of the positions, the same in every step."""
        batch = self._tasks.batch
        return batch.targets[self._positions], batch.negatives_of(self._positions)
