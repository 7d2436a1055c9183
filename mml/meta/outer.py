"""The outer loop's gradient: what the original parameters should follow, summed over the tasks of a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mml.meta.inner import Fast, Params, Rates, TaskLosses, differentiable_adapt


class Episode(Protocol):
    """The tasks of a chunk: losses [U] as functions of stacked fast weights."""

    def __len__(self) -> int: ...

    def support_loss(self, fast: Params) -> Tensor: ...

    def query_loss(self, fast: Params) -> Tensor: ...


@runtime_checkable
class SummingEpisode(Episode, Protocol):
    """An episode that can sum the first-order gradient over its tasks without holding each task's own."""

    def query_loss_at(self, fast: Fast, leaves: Params) -> Tensor:
        """The query losses [U] at `fast`; their gradient by it, summed over tasks, goes to `leaves` {name: [...]}."""


@runtime_checkable
class JoinedEpisode(Episode, Protocol):
    """An episode that has support and query as one loss, for the whole inner loop of `reptile`."""

    @property
    def joined_loss(self) -> TaskLosses:
        """The sum of the support and the query loss."""


@dataclass(frozen=True)
class MetaGradient:
    """Gradients summed over U tasks (divide by the number of users of the meta batch).

    Args:
        fast: by phi, named as given.
        slow: by psi, named as given.
        rates: by the learned inner rates; empty unless Meta-SGD.
        query_loss: sum of the tasks' query losses after adaptation.
    """

    fast: Params
    slow: Params
    rates: Params
    query_loss: float


def first_order(
    episode: Episode, adapted: Fast, fast: Mapping[str, Tensor], slow: Mapping[str, Tensor]
) -> tuple[float, Params, Params]:
    """Query loss and its gradients by the adapted weights and by psi, summed over tasks.

    Args:
        episode: U tasks.
        adapted: their weights after the inner loop.
        fast: phi, {name: [...]}.
        slow: psi, {name: [...]}.
    """
    if isinstance(episode, SummingEpisode):
        leaves = {name: value.detach().requires_grad_() for name, value in fast.items()}
        loss = episode.query_loss_at(adapted, leaves).sum()
        grads = _gradients(loss, [*leaves.values(), *slow.values()])
    else:
        loss = episode.query_loss(adapted).sum()
        grads = _gradients(loss, [*adapted.values(), *slow.values()])
        grads = [grad.sum(0) for grad in grads[: len(fast)]] + grads[len(fast) :]
    found = iter(grads)
    by_fast, by_slow = ({name: next(found) for name in group} for group in (fast, slow))
    return float(loss.detach()), by_fast, by_slow


def through_the_inner_loop(
    episode: Episode, fast: Mapping[str, Tensor], slow: Mapping[str, Tensor], rates: Rates, steps: int
) -> MetaGradient:
    """The gradient of the query losses at phi_u by phi, psi and learned rates, through the inner loop."""
    adapted = differentiable_adapt(episode.support_loss, fast, len(episode), rates, steps)
    loss = episode.query_loss(adapted).sum()
    learned = dict(rates) if isinstance(rates, Mapping) else {}
    grads = iter(_gradients(loss, [*fast.values(), *slow.values(), *learned.values()]))
    by_fast, by_slow, by_rates = ({name: next(grads) for name in group} for group in (fast, slow, learned))
    return MetaGradient(by_fast, by_slow, by_rates, float(loss.detach()))


def support_and_query(episode: Episode) -> TaskLosses:
    """The sum of an episode's support and query loss."""
    if isinstance(episode, JoinedEpisode):
        return episode.joined_loss
    return lambda fast: episode.support_loss(fast) + episode.query_loss(fast)


def _gradients(loss: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """Gradients, zero for inputs that the loss does not depend on."""
    grads = torch.autograd.grad(loss, inputs, allow_unused=True)
    return [torch.zeros_like(value) if grad is None else grad for value, grad in zip(inputs, grads, strict=True)]
