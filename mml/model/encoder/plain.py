"""The plain form of adaptation: any encoder, each task under its own weights, by autograd.

Encoders that have no passes of their own adapt by it; those that have are tested against it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mml.meta.inner import Params, Rates, sgd_step
from mml.model.encoder.dropout import task_noise, training_mode
from mml.model.encoder.slot import HasTaskPasses, TaskInputs, TaskPasses

StackedStates = Callable[[Params, TaskInputs], Tensor]
"""(stacked weights {name: [U, ...]}, inputs of U tasks) -> states [U, L, d], differentiable."""


def passes_of(encoder: nn.Module, inputs: TaskInputs) -> TaskPasses:
    """How the tasks run through the encoder: by passes of its own if it has some, else in the plain form."""
    return encoder.tasks(inputs) if isinstance(encoder, HasTaskPasses) else PlainTasks(encoder, inputs)


def vmapped_states(encoder: nn.Module, fast: Params, inputs: TaskInputs, **options: Any) -> Tensor:
    """States [U, L, d] of U tasks through any module, each under its own weights, in the module's present mode.

    The module is one that `torch.func.vmap` can run: no branches on numbers, no changes of buffers.

    Args:
        encoder: see `mml.model.encoder.slot.Encoder`.
        fast: parameter name -> stacked weights [U, ...]; parameters not named are shared.
        inputs: of U tasks; without noise keys all of them drop the same numbers.
        options: further arguments of the encoder.
    """
    vectors, bias, keys = inputs.vectors, inputs.bias, inputs.noise_keys
    keys = torch.zeros(len(vectors), dtype=torch.int64) if keys is None else keys

    def one(weights: Params, vectors: Tensor, bias: Tensor | None, key: Tensor) -> Tensor:
        with task_noise(key):
            batch = (vectors[None], None if bias is None else bias[None], key[None])
            states: Tensor = functional_call(encoder, weights, batch, options)
        return states[0]

    run = vmap(one, in_dims=(0, 0, None if bias is None else 0, 0), randomness="different")
    states: Tensor = run(fast, vectors, bias, keys.to(vectors.device))
    return states


class PlainTasks:
    """The tasks of a chunk under autograd (see `mml.model.encoder.slot.TaskPasses`).

    Args:
        encoder: see `mml.model.encoder.slot.Encoder`.
        inputs: of U tasks.
        run: how stacked weights are run; under vmap if None.
    """

    def __init__(self, encoder: nn.Module, inputs: TaskInputs, run: StackedStates | None = None) -> None:
        self._encoder, self._inputs = encoder, inputs
        self._run = partial(vmapped_states, encoder) if run is None else run

    def differentiable_states(
        self, fast: Params, length: int, dropout: bool = False, leaves: Params | None = None
    ) -> Tensor:
        if leaves is not None:  # adding what is zero lets the gradients flow there, summed over tasks
            fast = {name: value.detach() + (leaves[name] - leaves[name].detach()) for name, value in fast.items()}
        return self._states(self._inputs, fast, length, dropout)

    @torch.no_grad()
    def states(self, fast: Params, length: int) -> Tensor:
        return self._states(self._inputs, fast, length)

    def descended(self, fast: Params, rates: Rates, length: int, slopes: Callable[[Tensor], Tensor]) -> Params:
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in fast.items()}
            states = self._states(self._inputs.detached(), leaves, length)
        by_states = slopes(states.detach())
        grads = torch.autograd.grad(states, list(leaves.values()), by_states, materialize_grads=True)
        with torch.no_grad():
            return sgd_step(fast, dict(zip(fast, grads, strict=True)), rates)

    def tensors(self, fast: Params) -> Params:
        return fast

    def _states(self, inputs: TaskInputs, fast: Params, length: int, dropout: bool = False) -> Tensor:
        with training_mode(self._encoder, dropout):
            return self._run(fast, inputs.first(length))
