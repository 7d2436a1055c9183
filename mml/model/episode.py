"""The losses of a batch of tasks as functions of stacked fast weights, for the engine in mml.meta."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding  # unlike indexing, its gradient does not depend on the threads

from mml.data.tasks import TaskBatch
from mml.meta.inner import Params, Rates
from mml.model.fused_gradients import Descent, collapsed

if TYPE_CHECKING:
    from mml.model.learner import Learner

Positions = tuple[Tensor, ...]
"""Rows and columns, int64 [P] each."""


class Episode:
    """U tasks of one learner. What does not depend on the fast weights is computed once, here.

    The support loss is taken without dropout, in training as in adaptation, so that both inner loops are the same.

    Args:
        learner: see Learner.
        batch: U tasks.
        table: vectors of inputs and candidates, [n, d].
    """

    def __init__(self, learner: Learner, batch: TaskBatch, table: Tensor) -> None:
        self._learner, self._batch, self._table = learner, batch, table
        self._vectors = embedding(batch.item_seq, table)  # [U, L, d]
        self._bias = learner.attention_bias(batch.item_seq)
        warm = batch.targets <= learner.n_warm_items  # a new user's support may hold cold items: no candidates
        self._query: Positions = (batch.query & warm).nonzero(as_tuple=True)
        self.support_loss = SupportLoss(self, (batch.support & warm).nonzero(as_tuple=True))
        """Mean loss over each task's support positions, [U]; 0 for a task without support."""

    def __len__(self) -> int:
        return len(self._batch)

    def states(self, fast: Params, dropout: bool = False, leaves: Params | None = None) -> Tensor:
        """States [U, L, d] under stacked fast weights; `leaves` as in CausalEncoder.forward_tasks."""
        return self._states(fast, self._batch.item_seq.shape[1], dropout, leaves)

    def query_loss(self, fast: Params) -> Tensor:
        """Mean loss over each task's query positions, [U]."""
        return self._mean_loss(self.states(fast, dropout=True), self._query)

    def query_loss_at(self, fast: Params, leaves: Params) -> Tensor:
        """The query losses [U]; their gradient by the fast weights, summed over tasks, goes to `leaves`."""
        return self._mean_loss(self.states(fast, dropout=True, leaves=leaves), self._query)

    def _states(self, fast: Params, length: int, dropout: bool = False, leaves: Params | None = None) -> Tensor:
        bias = None if self._bias is None else self._bias[:, :length, :length]
        with training_mode(self._learner.encoder, dropout and self._learner.training):
            return self._learner.encoder.forward_tasks(
                fast, self._vectors[:, :length], bias, self._batch.noise_keys, leaves
            )

    def _losses(self, picked: Tensor, table: Tensor, positions: Positions) -> Tensor:
        """Loss of each position: states [P, d] -> [P]."""
        negatives = None if self._batch.negatives is None else self._batch.negatives[positions]
        return self._learner.prediction_loss(picked, table, self._batch.targets[positions], negatives)

    def _weights(self, positions: Positions) -> Tensor:
        """What each position counts in its task's mean, [P]."""
        count = torch.bincount(positions[0], minlength=len(self))
        return (1.0 / count.to(self._vectors.dtype))[positions[0]]

    def _mean_loss(self, states: Tensor, positions: Positions) -> Tensor:
        losses = self._losses(states[positions], self._table, positions) * self._weights(positions)
        return losses.new_zeros(len(self)).index_add(0, positions[0], losses)


class SupportLoss:
    """The support losses of an episode. Only the positions up to the last support position are looked at.

    Called, it gives the losses, differentiable. `descend` goes down their gradients without autograd.
    """

    def __init__(self, episode: Episode, positions: Positions) -> None:
        self._episode, self._positions = episode, positions
        self._length = int(positions[1].max()) + 1 if len(positions[1]) else 1

    def __call__(self, fast: Params) -> Tensor:
        states = self._episode._states(fast, self._length)
        return self._episode._mean_loss(states, self._positions)

    @torch.no_grad()
    def descend(self, fast: Params, rates: Rates) -> Params:
        """The fast weights after a step of gradient descent. Those given are used up: they may be changed in place."""
        encoder = self._episode._learner.encoder.fused
        first = encoder.lowest(fast)
        weights = {**self._own, **{name: collapsed(value) for name, value in fast.items()}}
        states, passes = encoder.run(weights, self._inputs(first), self._mask, first=first)
        dstates = torch.zeros_like(states).index_put(self._positions, self._gradient(states[self._positions]))
        sink = Descent(dict(fast), rates)
        encoder.back(weights, dstates, passes, sink)
        return sink.fast

    def _gradient(self, picked: Tensor) -> Tensor:
        """Gradient of the sum of losses by the states at the support positions, [P, d]."""
        episode = self._episode
        with torch.enable_grad():
            picked = picked.detach().requires_grad_()
            losses = episode._losses(picked, episode._table.detach(), self._positions)
        return torch.autograd.grad(losses, picked, self._weight)[0]

    @cached_property
    def _weight(self) -> Tensor:
        return self._episode._weights(self._positions)

    @cached_property
    def _own(self) -> Params:
        return {name: value.detach() for name, value in self._episode._learner.encoder.named_parameters()}

    @cached_property
    def _mask(self) -> Tensor:
        episode, length = self._episode, self._length
        bias = None if episode._bias is None else episode._bias.detach()[:, :length, :length]
        return episode._learner.encoder.fused.attention_mask(length, episode._vectors, bias)

    def _inputs(self, first: int) -> Tensor:
        """What enters the lowest layer with fast weights; the layers below it are run once."""
        if first not in self._entering:
            x = self._episode._vectors.detach()[:, : self._length]
            encoder = self._episode._learner.encoder.fused
            if first >= 0:
                x, _ = encoder.embed(self._own, x)
            for number in range(first):
                x, _ = encoder.layer(self._own, number, x, self._mask)
            self._entering[first] = x
        return self._entering[first]

    @cached_property
    def _entering(self) -> dict[int, Tensor]:
        return {}


@contextmanager
def training_mode(module: nn.Module, mode: bool) -> Iterator[None]:
    """Set the module's training flag for a while."""
    before = module.training
    module.train(mode)
    try:
        yield
    finally:
        module.train(before)
