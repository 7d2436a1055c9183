"""The inner loop: all tasks of a chunk adapt at once, each with its own copy of the fast weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from mml.protocols import follows

Params = dict[str, Tensor]
Fast = Any
"""Stacked weights by name, or whatever stands for them with losses that are `Descending`."""
Rates = float | Mapping[str, Tensor]
TaskLosses = Callable[[Params], Tensor]
"""Stacked fast weights {name: [U, ...]} -> one loss per task [U]; task u's loss depends on row u only."""


@runtime_checkable
class Descending(Protocol):
    """Task losses that know how to go down their own gradients, faster than autograd does."""

    def __call__(self, fast: Params) -> Tensor: ...

    def begin(self, initial: Mapping[str, Tensor], n_tasks: int) -> Fast:
        """The weights before the first step: one copy of `initial` for all tasks; see `begun`."""

    def descend(self, fast: Fast, rates: Rates) -> Fast:
        """The weights after one step of gradient descent.

        Those given may be changed in place, but for weights that are repeated without copying, which others own.
        """

    def tensors(self, fast: Fast) -> Params:
        """The stacked weights."""


def stack(params: Mapping[str, Tensor], n_tasks: int) -> Params:
    """Each parameter repeated for every task, [...] -> [U, ...], without copying."""
    return {name: value.expand(n_tasks, *value.shape) for name, value in params.items()}


def task_gradients(losses: TaskLosses, fast: Params, create_graph: bool = False) -> Params:
    """Gradient of each task's own loss by its own weights, {name: [U, ...]}.

    The tasks are independent, so the gradient of the sum of losses by the stacked weights holds them all.
    """
    loss = losses(fast).sum()
    grads = torch.autograd.grad(loss, list(fast.values()), create_graph=create_graph, materialize_grads=True)
    return dict(zip(fast, grads, strict=True))


def sgd_step(fast: Params, grads: Params, rates: Rates) -> Params:
    """One step of gradient descent, not in place."""
    if isinstance(rates, Mapping):
        return {name: value - rates[name] * grads[name] for name, value in fast.items()}
    return {name: torch.sub(value, grads[name], alpha=rates) for name, value in fast.items()}


def adaptation_path(losses: TaskLosses, initial: Mapping[str, Tensor], n_tasks: int, rates: Rates) -> Iterator[Fast]:
    """The weights after 0, 1, 2, ... steps, without end and without graph; `tensors` makes {name: [U, ...]} of them.

    Weights that were yielded are not to be used any more once the next are asked for: they change in place.

    Args:
        losses: the support losses.
        initial: phi, one copy for all tasks.
        n_tasks: U.
        rates: inner learning rate, or one tensor per parameter.
    """
    if follows(losses, Descending):  # type: ignore[type-abstract]
        yield from _descents(losses, losses.begin(initial, n_tasks), rates)
    fast = _leaves(stack(initial, n_tasks))
    while True:
        yield fast
        with torch.enable_grad():
            grads = task_gradients(losses, fast)
        with torch.no_grad():
            stepped = sgd_step(fast, grads, rates)
        fast = _leaves(stepped)


def begun(initial: Mapping[str, Tensor], n_tasks: int) -> Params:
    """Stacked weights {name: [U, ...]} that a descent may begin with: no step in place changes `initial`."""
    fast = {name: value.detach() for name, value in stack(initial, n_tasks).items()}
    return {name: value.clone() for name, value in fast.items()} if n_tasks == 1 else fast


def _descents(losses: Descending, fast: Fast, rates: Rates) -> Iterator[Fast]:
    while True:
        yield fast
        fast = losses.descend(fast, rates)


def adapt(losses: TaskLosses, initial: Mapping[str, Tensor], n_tasks: int, rates: Rates, steps: int) -> Params:
    """The stacked weights {name: [U, ...]} after `steps` steps, without graph."""
    return tensors(losses, descended(losses, initial, n_tasks, rates, steps))


def descended(losses: TaskLosses, initial: Mapping[str, Tensor], n_tasks: int, rates: Rates, steps: int) -> Fast:
    """As `adapt`, but `Descending` losses' weights as they come."""
    return next(itertools.islice(adaptation_path(losses, initial, n_tasks, rates), steps, None))


def tensors(losses: TaskLosses, fast: Fast) -> Params:
    """The stacked weights that the losses' `fast` stands for."""
    return losses.tensors(fast) if isinstance(losses, Descending) else fast


def differentiable_adapt(
    losses: TaskLosses, initial: Mapping[str, Tensor], n_tasks: int, rates: Rates, steps: int
) -> Params:
    """As `adapt`, with the graph through every step: gradients reach `initial`, `rates` and what the losses close over.

    This is the inner loop of MAML (Finn et al., ICML 2017, equation 1) and Meta-SGD (Li et al., 2017, equation 2).
    """
    fast = stack(initial, n_tasks)
    for _ in range(steps):
        fast = sgd_step(fast, task_gradients(losses, fast, create_graph=True), rates)
    return fast


def _leaves(params: Params) -> Params:
    return {name: value.detach().requires_grad_() for name, value in params.items()}
