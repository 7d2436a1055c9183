"""What an encoder must offer: states of histories, and, if it has a faster way than autograd's, passes of tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from mml.meta.inner import Fast, Params, Rates

Slopes = Callable[[Tensor], Tensor]
"""States [U, l, d] -> the losses' gradient by them, of the same shape."""


class Encoder(Protocol):
    """An `nn.Module` that makes one state of each position of left-aligned histories.

    The state at position t must depend on positions up to t only; so the padding at the end changes nothing, and a
    part of the positions may be run alone. Every such module adapts (`mml.model.encoder.plain`). Its dropout layers
    should be `TaskDropout`s (`use_task_dropout`), or results depend on how tasks are cut into chunks.
    """

    def __call__(
        self, item_vectors: Tensor, attention_bias: Tensor | None = None, noise_keys: Tensor | None = None
    ) -> Tensor:
        """States of a batch.

        Args:
            item_vectors: [B, L, d].
            attention_bias: [B, L, L], what the learner would add to attention logits, or None; an encoder without
                attention passes it over.
            noise_keys: int64 [B], the rows' dropout keys; None for torch's generator.

        Returns:
            [B, L, d].
        """


@dataclass(frozen=True)
class TaskInputs:
    """What the U tasks of a chunk give an encoder.

    Args:
        vectors: item vectors, [U, L, d].
        bias: added to attention logits, [U, L, L], or None.
        noise_keys: int64 [U], or None if no dropout is wanted.
    """

    vectors: Tensor
    bias: Tensor | None = None
    noise_keys: Tensor | None = None

    def first(self, length: int) -> TaskInputs:
        """Those of the first positions."""
        bias = None if self.bias is None else self.bias[:, :length, :length]
        return TaskInputs(self.vectors[:, :length], bias, self.noise_keys)

    def detached(self) -> TaskInputs:
        """Those that no gradient flows to."""
        return TaskInputs(self.vectors.detach(), None if self.bias is None else self.bias.detach(), self.noise_keys)


class TaskPasses(Protocol):
    """The tasks of a chunk on their way through an encoder, each under its own fast weights."""

    def differentiable_states(
        self, fast: Fast, length: int, dropout: bool = False, leaves: Params | None = None
    ) -> Tensor:
        """States [U, length, d], with a graph to fast weights, the encoder's other parameters and the inputs.

        Args:
            fast: stacked weights [U, ...]; with `leaves`, whatever `descended` gives.
            length: number of positions, counted from the first.
            dropout: whether the encoder is in training mode.
            leaves: name -> [...]; if given, the gradients by the fast weights, summed over tasks, go to these.
        """

    def states(self, fast: Fast, length: int) -> Tensor:
        """States [U, length, d] without dropout and without graph."""

    def begin(self, initial: Mapping[str, Tensor], n_tasks: int) -> Fast:
        """The fast weights before a descent: `initial`, which no step changes, for each task."""

    def descended(self, fast: Fast, rates: Rates, length: int, slopes: Slopes) -> Fast:
        """The fast weights after a step of gradient descent without dropout; those given may be changed in place.

        Args:
            fast: stacked weights, or what an earlier step gave.
            rates: one rate, or one of each parameter's shape.
            length: number of positions to run, at least.
            slopes: states [U, l, d] -> the losses' gradient by them, of the same shape; l is at least `length`.
        """

    def tensors(self, fast: Fast) -> Params:
        """The fast weights as stacked tensors."""


@runtime_checkable
class HasBriefStates(Protocol):
    """Passes of tasks that have a faster way to the outcome of few steps over short histories."""

    def brief_states(
        self, initial: Params, rates: Rates, steps: int, length: int, slopes: Slopes, last: Tensor
    ) -> Tensor | None:
        """The states after a descent, where nobody asks for the weights; without dropout and graph.

        Args:
            initial: the weights before the first step, for each task.
            rates: as for `descended`.
            steps: how many there are.
            length: number of positions of a step.
            slopes: as for `descended`.
            last: int64 [U], the position of each task whose state is wanted.

        Returns:
            [U, d]; None where this way is not quicker, or not there.
        """


@runtime_checkable
class HasTaskPasses(Protocol):
    """An encoder that has passes of tasks of its own, faster than the plain form."""

    def tasks(self, inputs: TaskInputs) -> TaskPasses:
        """The passes of a chunk of tasks."""
