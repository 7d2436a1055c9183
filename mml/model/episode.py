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
from mml.model.encoder import CausalEncoder
from mml.model.fused_encoder import Passes, Weights
from mml.model.fused_gradients import Descent, collapsed
from mml.model.fused_ops import LowRank

if TYPE_CHECKING:
    from mml.model.learner import Learner

Positions = tuple[Tensor, ...]
"""Rows and columns, int64 [P] each."""


class Episode:
    """U tasks of one learner. What does not depend on the fast weights is computed once, here.

    What a task adapts to is taken without dropout, in training as in adaptation, so that both inner loops are the same.

    Args:
        learner: see Learner.
        batch: U tasks.
        table: vectors of inputs and candidates, [n, d].
    """

    def __init__(self, learner: Learner, batch: TaskBatch, table: Tensor) -> None:
        assert isinstance(learner.encoder, CausalEncoder), "only causal encoders adapt"
        self._learner, self._batch, self._table, self._encoder = learner, batch, table, learner.encoder
        self._vectors = embedding(batch.item_seq, table)  # [U, L, d]
        self._bias = learner.attention_bias(batch.item_seq)
        counts = learner.is_candidate(batch.targets)  # a new user's support may hold items that are none
        self._query: Positions = (batch.query & counts).nonzero(as_tuple=True)
        self._support: Positions = (batch.support & counts).nonzero(as_tuple=True)
        self.support_loss = InnerLoss(self, self._support, self._weights(self._support))
        """Mean loss over each task's support positions, [U]; 0 for a task without support."""

    def __len__(self) -> int:
        return len(self._batch)

    def states(self, fast: Fast, dropout: bool = False, leaves: Params | None = None) -> Tensor:
        """States [U, L, d] under stacked fast weights; `leaves` as in CausalEncoder.forward_tasks."""
        return self._states(fast, self._batch.item_seq.shape[1], dropout, leaves)

    @cached_property
    def joined_loss(self) -> InnerLoss:
        """Support loss plus query loss, [U], both without dropout: what `reptile` adapts to."""
        positions = tuple(torch.cat(pair) for pair in zip(self._support, self._query, strict=True))
        return InnerLoss(self, positions, torch.cat([self._weights(self._support), self._weights(self._query)]))

    def query_loss(self, fast: Params) -> Tensor:
        """Mean loss over each task's query positions, [U]."""
        return self._mean_loss(self.states(fast, dropout=True), self._query)

    def query_loss_at(self, fast: Fast, leaves: Params) -> Tensor:
        """The query losses [U]; their gradient by the fast weights, summed over tasks, goes to `leaves`."""
        return self._mean_loss(self.states(fast, dropout=True, leaves=leaves), self._query)

    def _states(self, fast: Fast, length: int, dropout: bool = False, leaves: Params | None = None) -> Tensor:
        bias = None if self._bias is None else self._bias[:, :length, :length]
        with training_mode(self._encoder, dropout and self._learner.training):
            return self._encoder.forward_tasks(fast, self._vectors[:, :length], bias, self._batch.noise_keys, leaves)

    def _losses(self, picked: Tensor, table: Tensor, positions: Positions) -> Tensor:
        """Loss of each position: states [P, d] -> [P]."""
        negatives = self._batch.negatives_of(positions)
        return self._learner.prediction_loss(picked, table, self._batch.targets[positions], negatives)

    def _weights(self, positions: Positions) -> Tensor:
        """What each position counts in its task's mean, [P]."""
        count = torch.bincount(positions[0], minlength=len(self))
        return (1.0 / count.to(self._vectors.dtype))[positions[0]]

    def _mean_loss(self, states: Tensor, positions: Positions) -> Tensor:
        return self._summed(states, positions, self._weights(positions))

    def _summed(self, states: Tensor, positions: Positions, weights: Tensor) -> Tensor:
        """Weighted sum of the losses of each task's positions, [U]."""
        losses = self._losses(states[positions], self._table, positions) * weights
        return losses.new_zeros(len(self)).index_add(0, positions[0], losses)


class _Run(NamedTuple):
    """A forward pass, and the weights it was made with."""

    weights: Weights
    states: Tensor
    passes: Passes


class InnerLoss:
    """What the tasks of an episode adapt to. Only the positions up to the last one that counts are looked at.

    Called, it gives the losses, differentiable. `descend` goes down their gradients without autograd.

    Args:
        episode: the tasks.
        positions: those that count.
        weights: what each of them counts, [P].
    """

    def __init__(self, episode: Episode, positions: Positions, weights: Tensor) -> None:
        self._episode, self._positions, self._weight = episode, positions, weights
        self._length = int(positions[1].max()) + 1 if len(positions[1]) else 1
        self._entering: dict[int, Tensor] = {}
        self._seen: tuple[Fast, _Run] | None = None

    def __call__(self, fast: Params) -> Tensor:
        states = self._episode._states(fast, self._length)
        return self._episode._summed(states, self._positions, self._weight)

    @torch.no_grad()
    def look(self, fast: Fast) -> Tensor:
        """States [U, L, d] of all positions, without dropout and graph; `descend` from here needs no forward pass."""
        run = self._run(fast, self._episode._vectors.shape[1])
        self._seen = fast, run
        return run.states

    @torch.no_grad()
    def descend(self, fast: Fast, rates: Rates) -> Fast:
        """The fast weights after a step of gradient descent. Those given are used up: they may be changed in place."""
        seen, self._seen = self._seen, None
        run = seen[1] if seen is not None and seen[0] is fast else self._run(fast, self._length)
        picked = self._gradient(run.states[self._positions])
        dstates = torch.zeros_like(run.states).index_put_(self._positions, picked)
        sink = Descent(dict(fast), rates)
        self._episode._encoder.fused.back(run.weights, dstates, run.passes, sink)
        return sink.fast

    def tensors(self, fast: Fast) -> Params:
        """The fast weights as stacked tensors."""
        return {name: value.formed() if isinstance(value, LowRank) else value for name, value in fast.items()}

    def _run(self, fast: Fast, length: int) -> _Run:
        encoder, products = self._episode._encoder.fused, self._episode._learner.products
        first = encoder.lowest(fast)
        weights = self._own | encoder.in_format({name: collapsed(v) for name, v in fast.items()}, products)
        x, mask = self._inputs(first)[:, :length].contiguous(), self._mask[..., :length, :length]
        return _Run(weights, *encoder.run(weights, x, mask, first=first))

    def _gradient(self, picked: Tensor) -> Tensor:
        """Gradient of the sum of losses by the states at the support positions, [P, d]."""
        episode, positions = self._episode, self._positions
        targets, negatives = episode._batch.targets[positions], episode._batch.negatives_of(positions)
        slopes = episode._learner.prediction_slopes(picked, episode._table.detach(), targets, negatives)
        return slopes * self._weight[:, None]

    @cached_property
    def _own(self) -> Params:
        learner = self._episode._learner
        own = {name: value.detach() for name, value in self._episode._encoder.named_parameters()}
        return self._episode._encoder.fused.in_format(own, learner.products)

    @cached_property
    def _mask(self) -> Tensor:
        episode = self._episode
        bias = None if episode._bias is None else episode._bias.detach()
        return episode._encoder.fused.attention_mask(episode._vectors.shape[1], episode._vectors, bias)

    def _inputs(self, first: int) -> Tensor:
        """What enters the lowest layer with fast weights; the layers below it are run once."""
        if first not in self._entering:
            x = self._episode._vectors.detach()
            encoder = self._episode._encoder.fused
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
