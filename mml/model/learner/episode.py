"""The losses of a batch of tasks as functions of stacked fast weights, for the engine in mml.meta."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding  # unlike indexing, its gradient does not depend on the threads

from mml.data.tasks import TaskBatch
from mml.meta.inner import Fast, Params, Rates
from mml.model.encoder.causal import CausalEncoder
from mml.model.encoder.fused.gradients import Descent, collapsed
from mml.model.encoder.fused.ops import LowRank
from mml.model.encoder.fused.passes import Passes, Weights

if TYPE_CHECKING:
    from mml.model.learner.base import Learner

Positions = tuple[Tensor, ...]
"""Rows and columns, int64 [P] each."""


class _Tasks:
    """U tasks of one learner: what does not depend on the fast weights, and what all losses of an episode share.

    An object of its own, so that an episode's losses hold no reference to the episode: of such a ring the memory of a
    whole chunk would wait for the garbage collector.

    Args:
        learner, batch, table: see Episode.
    """

    def __init__(self, learner: Learner, batch: TaskBatch, table: Tensor) -> None:
        assert isinstance(learner.encoder, CausalEncoder), "only causal encoders adapt"
        self.learner, self.batch, self.table, self.encoder = learner, batch, table, learner.encoder
        self.vectors = embedding(batch.item_seq, table)  # [U, L, d]
        self.bias = learner.attention_bias(batch.item_seq)

    def __len__(self) -> int:
        return len(self.batch)

    def states(self, fast: Fast, length: int, dropout: bool = False, leaves: Params | None = None) -> Tensor:
        """States [U, length, d] under stacked fast weights."""
        bias = None if self.bias is None else self.bias[:, :length, :length]
        with training_mode(self.encoder, dropout and self.learner.training):
            return self.encoder.forward_tasks(fast, self.vectors[:, :length], bias, self.batch.noise_keys, leaves)

    def weights(self, positions: Positions) -> Tensor:
        """What each position counts in its task's mean, [P]."""
        count = torch.bincount(positions[0], minlength=len(self))
        return (1.0 / count.to(self.vectors.dtype))[positions[0]]

    def summed(self, states: Tensor, positions: Positions, weights: Tensor) -> Tensor:
        """Weighted sum of the losses of each task's positions, [U]."""
        targets, negatives = self.batch.targets[positions], self.batch.negatives_of(positions)
        losses = self.learner.prediction_loss(states[positions], self.table, targets, negatives) * weights
        return losses.new_zeros(len(self)).index_add(0, positions[0], losses)

    def slopes(self, picked: Tensor, positions: Positions, weights: Tensor) -> Tensor:
        """Gradient of `summed`, summed over tasks, by the states at the positions, [P, d]; none by the table."""
        targets, negatives = self.batch.targets[positions], self.batch.negatives_of(positions)
        slopes = self.learner.prediction_slopes(picked, self.table.detach(), targets, negatives)
        return slopes * weights[:, None]


class Episode:
    """U tasks of one learner. What does not depend on the fast weights is computed once, here.

    What a task adapts to is taken without dropout, in training as in adaptation, so that both inner loops are the same.

    Args:
        learner: see Learner.
        batch: U tasks.
        table: vectors of inputs and candidates, [n, d]; the warm items' if None.
    """

    def __init__(self, learner: Learner, batch: TaskBatch, table: Tensor | None = None) -> None:
        self._tasks = tasks = _Tasks(learner, batch, learner.warm_table() if table is None else table)
        counts = learner.is_candidate(batch.targets)  # a new user's support may hold items that are none
        self._query: Positions = (batch.query & counts).nonzero(as_tuple=True)
        self._support: Positions = (batch.support & counts).nonzero(as_tuple=True)
        self.support_loss = InnerLoss(tasks, self._support, tasks.weights(self._support))
        """Mean loss over each task's support positions, [U]; 0 for a task without support."""

    def __len__(self) -> int:
        return len(self._tasks)

    def states(self, fast: Fast, dropout: bool = False, leaves: Params | None = None) -> Tensor:
        """States [U, L, d] under stacked fast weights; `leaves` as in CausalEncoder.forward_tasks."""
        return self._tasks.states(fast, self._tasks.vectors.shape[1], dropout, leaves)

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


class _Run(NamedTuple):
    """A forward pass, and the weights it was made with."""

    weights: Weights
    states: Tensor
    passes: Passes


class InnerLoss:
    """What the tasks of an episode adapt to. Only the positions up to the last one that counts are looked at.

    Called, it gives the losses, differentiable. `descend` goes down their gradients without autograd.

    Args:
        tasks: see _Tasks.
        positions: those that count.
        weights: what each of them counts, [P].
    """

    def __init__(self, tasks: _Tasks, positions: Positions, weights: Tensor) -> None:
        self._tasks, self._positions, self._weight = tasks, positions, weights
        self._length = int(positions[1].max()) + 1 if len(positions[1]) else 1
        self._entering: dict[int, Tensor] = {}
        self._seen: tuple[Fast, _Run] | None = None

    def __call__(self, fast: Params) -> Tensor:
        return self._tasks.summed(self._tasks.states(fast, self._length), self._positions, self._weight)

    @torch.no_grad()
    def look(self, fast: Fast) -> Tensor:
        """States [U, L, d] of all positions, without dropout and graph; `descend` from here needs no forward pass."""
        run = self._run(fast, self._tasks.vectors.shape[1])
        self._seen = fast, run
        return run.states

    @torch.no_grad()
    def descend(self, fast: Fast, rates: Rates) -> Fast:
        """The fast weights after a step of gradient descent. Those given are used up: they may be changed in place."""
        seen, self._seen = self._seen, None
        run = seen[1] if seen is not None and seen[0] is fast else self._run(fast, self._length)
        picked = self._tasks.slopes(run.states[self._positions], self._positions, self._weight)
        dstates = torch.zeros_like(run.states).index_put_(self._positions, picked)
        sink = Descent(dict(fast), rates)
        self._tasks.encoder.fused.back(run.weights, dstates, run.passes, sink)
        return sink.fast

    def tensors(self, fast: Fast) -> Params:
        """The fast weights as stacked tensors."""
        return {name: value.formed() if isinstance(value, LowRank) else value for name, value in fast.items()}

    def _run(self, fast: Fast, length: int) -> _Run:
        encoder, products = self._tasks.encoder.fused, self._tasks.learner.products
        first = encoder.lowest(fast)
        weights = self._own | encoder.in_format({name: collapsed(v) for name, v in fast.items()}, products)
        x, mask = self._inputs(first)[:, :length].contiguous(), self._mask[..., :length, :length]
        return _Run(weights, *encoder.run(weights, x, mask, first=first))

    @cached_property
    def _own(self) -> Params:
        encoder = self._tasks.encoder
        own = {name: value.detach() for name, value in encoder.named_parameters()}
        return encoder.fused.in_format(own, self._tasks.learner.products)

    @cached_property
    def _mask(self) -> Tensor:
        tasks = self._tasks
        bias = None if tasks.bias is None else tasks.bias.detach()
        return tasks.encoder.fused.attention_mask(tasks.vectors.shape[1], tasks.vectors, bias)

    def _inputs(self, first: int) -> Tensor:
        """What enters the lowest layer with fast weights; the layers below it are run once."""
        if first not in self._entering:
            x = self._tasks.vectors.detach()
            encoder = self._tasks.encoder.fused
            if first >= 0:
                x, _ = encoder.embed(self._own, x)
            for number in range(first):
                x, _ = encoder.layer(self._own, number, x, self._mask)
            self._entering[first] = x
        return self._entering[first]


@contextmanager
def training_mode(module: nn.Module, mode: bool) -> Iterator[None]:
    """Set the module's training flag for a while."""
    before = module.training
    module.train(mode)
    try:
        yield
    finally:
        module.train(before)
