"""The plain form of adaptation: any encoder, each task under its own weights, by autograd.

Encoders that have no passes of their own adapt by it; those that have are tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mml.meta.inner import Params, Rates, begun, sgd_step
from mml.model.encoder.dropout import task_noise, training_mode
from mml.model.encoder.slot import HasTaskPasses, TaskInputs, TaskPasses

StackedStates = Callable[[Params, TaskInputs], Tensor]
"""(stacked weights {name: [U, ...]}, inputs of U tasks) -> states [U, L, d], differentiable."""


def passes_of(encoder: nn.Module, inputs: TaskInputs) -> TaskPasses:
    """How the tasks run through the encoder: by passes of its own if it has some, else in the plain form."""
    return encoder.tasks(inputs) if isinstance(encoder, HasTaskPasses) else PlainTasks(encoder, inputs)


def module_states(encoder: nn.Module, fast: Params, inputs: TaskInputs) -> Tensor:
    """States [U, L, d] of U tasks through any module, each under its own weights, in the module's present mode.

    Under vmap, but for modules with one of torch's recurrent layers, which vmap cannot run: those go task by task.

    Args:
        encoder: see `mml.model.encoder.slot.Encoder`.
        fast: parameter name -> stacked weights [U, ...]; parameters not named are shared.
        inputs: of U tasks; without noise keys all of them drop the same numbers.
    """
    recurrent = any(isinstance(module, nn.RNNBase) for module in encoder.modules())
    return (looped_states if recurrent else vmapped_states)(encoder, fast, inputs)


def vmapped_states(encoder: nn.Module, fast: Params, inputs: TaskInputs, **options: object) -> Tensor:
    """As `module_states`, [U, L, d], under vmap: the module must not branch on numbers or change buffers.

    `options` are further arguments of the encoder.
    """
    in_dims = (0, 0, None if inputs.bias is None else 0, 0)
    run = vmap(partial(_one_task, encoder, options), in_dims=in_dims, randomness="different")
    states: Tensor = run(fast, inputs.vectors, inputs.bias, _keys(inputs))
    return states


def looped_states(encoder: nn.Module, fast: Params, inputs: TaskInputs) -> Tensor:
    """As `module_states`, [U, L, d], one task after the other: for what vmap cannot run, and to test what it can."""
    rows = range(len(inputs.vectors))
    biases = [None for _ in rows] if inputs.bias is None else inputs.bias
    each = zip(rows, inputs.vectors, biases, _keys(inputs), strict=True)
    return torch.stack(
        [_one_task(encoder, {}, {name: value[u] for name, value in fast.items()}, *task) for u, *task in each]
    )


def _one_task(
    encoder: nn.Module, options: dict[str, object], weights: Params, vectors: Tensor, bias: Tensor | None, key: Tensor
) -> Tensor:
    """States [L, d] of one task: item vectors [L, d], bias [L, L], key []."""
    with task_noise(key):
        batch = (vectors[None], None if bias is None else bias[None], key[None])
        states: Tensor = functional_call(encoder, weights, batch, options)
    return states[0]


def _keys(inputs: TaskInputs) -> Tensor:
    """The tasks' noise keys, int64 [U], on the inputs' device."""
    keys = inputs.noise_keys
    keys = torch.zeros(len(inputs.vectors), dtype=torch.int64) if keys is None else keys
    return keys.to(inputs.vectors.device)


class PlainTasks:
    """The tasks of a chunk under autograd (see `mml.model.encoder.slot.TaskPasses`).

    Args:
        encoder: see `mml.model.encoder.slot.Encoder`.
        inputs: of U tasks.
        run: how stacked weights are run; None for `module_states`.
    """

    def __init__(self, encoder: nn.Module, inputs: TaskInputs, run: StackedStates | None = None) -> None:
        self._encoder, self._inputs = encoder, inputs
        self._run = partial(module_states, encoder) if run is None else run

    def differentiable_states(
        self, fast: Params, length: int, dropout: bool = False, leaves: Params | None = None
    ) -> Tensor:
        if leaves is not None:  # adding what is zero lets the gradients flow there, summed over tasks
            fast = {name: value.detach() + (leaves[name] - leaves[name].detach()) for name, value in fast.items()}
        return self._states(self._inputs, fast, length, dropout)

    @torch.no_grad()
    def states(self, fast: Params, length: int) -> Tensor:
        return self._states(self._inputs, fast, length)

    def begin(self, initial: Mapping[str, Tensor], n_tasks: int) -> Params:
        return begun(initial, n_tasks)

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
