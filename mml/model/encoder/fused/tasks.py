"""The fused passes as passes of tasks, with an inner loop that needs no autograd."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from mml.meta.inner import Fast, Params, Rates, begun
from mml.model.encoder.dropout import training_mode
from mml.model.encoder.fused.brief import BriefEncoder, EncoderWeights
from mml.model.encoder.fused.function import fused_states
from mml.model.encoder.fused.ops import LowRank
from mml.model.encoder.fused.passes import FusedEncoder, Passes, Weights
from mml.model.encoder.fused.single import OneTask, Packed, SingleEncoder
from mml.model.encoder.fused.single import Passes as SinglePasses
from mml.model.encoder.fused.sinks import Descent, collapsed
from mml.model.encoder.fused.thin import Plan
from mml.model.encoder.slot import Slopes, TaskInputs

_THIN = 32  # rank up to which the tasks' thin matrices are quicker than matrices of their own


class Prepared(Protocol):
    """What follows from an encoder's parameters, made once."""

    def packed(self) -> Packed:
        """The parameters as a vector."""

    def shared(self) -> EncoderWeights:
        """The parameters as brief adaptation wants them."""


class _Run(NamedTuple):
    """A forward pass, and the weights it was made with."""

    fast: Fast
    weights: Weights
    states: Tensor
    passes: Passes | SinglePasses


def _no_graph(fast: Fast) -> torch.no_grad | torch.inference_mode:
    """A task alone in inference mode: a fifth of its time goes into what autograd keeps count of otherwise."""
    return torch.inference_mode() if isinstance(fast, OneTask) else torch.no_grad()


class FusedTasks:
    """The tasks of a chunk by passes written out by hand (see `mml.model.encoder.slot.TaskPasses`).

    A step of descent right after `states` with the same weights needs no forward pass of its own. A task alone has
    passes of its own where all parameters adapt at one rate.

    Args:
        module: the encoder; its parameters are those of `encoder`'s network.
        encoder: its passes.
        inputs: of U tasks.
        prepared: what follows from the encoder's parameters.
    """

    def __init__(self, module: nn.Module, encoder: FusedEncoder, inputs: TaskInputs, prepared: Prepared) -> None:
        self._module, self._encoder, self._inputs, self._prepared = module, encoder, inputs, prepared
        self._single = SingleEncoder(encoder)
        self._entering: dict[int, Tensor] = {}
        self._last: _Run | None = None

    def differentiable_states(
        self, fast: Fast, length: int, dropout: bool = False, leaves: Params | None = None
    ) -> Tensor:
        fast = self.tensors(fast) if isinstance(fast, OneTask) else fast
        with training_mode(self._module, dropout):
            return fused_states(self._module, self._encoder, self._inputs.first(length), fast, leaves)

    def states(self, fast: Fast, length: int) -> Tensor:
        with _no_graph(fast):
            self._last = self._run(fast, length)
        return self._last.states

    def begin(self, initial: Mapping[str, Tensor], n_tasks: int) -> Fast:
        alone = self._prepared.packed().copied(initial) if n_tasks == 1 else None
        return begun(initial, n_tasks) if alone is None else alone

    def descended(self, fast: Fast, rates: Rates, length: int, slopes: Slopes) -> Fast:
        if isinstance(fast, OneTask) and isinstance(rates, Mapping):
            fast = self.tensors(fast)
        with _no_graph(fast):
            return self._stepped(fast, rates, length, slopes)

    def brief_states(
        self, initial: Params, rates: Rates, steps: int, length: int, slopes: Slopes, last: Tensor
    ) -> Tensor | None:
        inputs, weights = self._inputs.detached(), self._prepared.shared()
        n_tasks = len(inputs.vectors)  # a single one has a quicker way
        if isinstance(rates, Mapping) or not weights.are(initial) or n_tasks == 1 or steps * length > _THIN:
            return None
        with torch.inference_mode():
            encoder = BriefEncoder(self._encoder, weights, Plan(n_tasks, steps, length, rates))
            vectors, mask = inputs.vectors[:, :length], self._mask[..., :length, :length]
            for _ in range(steps):
                encoder.descend(vectors, mask, slopes)
            return encoder.last_states(inputs.vectors, self._mask, last)

    def _stepped(self, fast: Fast, rates: Rates, length: int, slopes: Slopes) -> Fast:
        last, self._last = self._last, None
        fits = last is not None and last.fast is fast and last.states.shape[1] >= length
        run = last if last is not None and fits else self._run(fast, length)
        if isinstance(run.passes, SinglePasses):
            assert isinstance(rates, float)
            self._single.descend(fast, slopes(run.states)[0], run.passes, rates)
            return fast
        sink = Descent(dict(fast), rates)
        self._encoder.back(run.weights, slopes(run.states), run.passes, sink)
        return sink.fast

    def tensors(self, fast: Fast) -> Params:
        if isinstance(fast, OneTask):
            return fast.stacked()
        return {name: value.formed() if isinstance(value, LowRank) else value for name, value in fast.items()}

    def _run(self, fast: Fast, length: int) -> _Run:
        if isinstance(fast, OneTask):
            mask, x = self._mask[..., :length, :length], self._inputs.vectors[0, :length].detach()
            states, passes = self._single.run(fast, x, mask)
            return _Run(fast, {}, states[None], passes)
        first = self._encoder.lowest(fast)
        own = {name: one if isinstance(one, LowRank) else collapsed(one) for name, one in fast.items()}
        weights = self._own | own
        x, mask = self._entering_layer(first)[:, :length].contiguous(), self._mask[..., :length, :length]
        return _Run(fast, weights, *self._encoder.run(weights, x, mask, first=first))

    @cached_property
    def _own(self) -> Params:
        return {name: value.detach() for name, value in self._module.named_parameters()}

    @cached_property
    def _mask(self) -> Tensor:
        inputs = self._inputs.detached()
        return self._encoder.attention_mask(inputs.vectors.shape[1], inputs.vectors, inputs.bias)

    def _entering_layer(self, first: int) -> Tensor:
        """What enters the lowest layer with fast weights; the layers below it are run once."""
        if first not in self._entering:
            x = self._inputs.vectors.detach()
            if first >= 0:
                x, _ = self._encoder.embed(self._own, x)
            for number in range(first):
                x, _ = self._encoder.layer(self._own, number, x, self._mask)
            self._entering[first] = x
        return self._entering[first]
