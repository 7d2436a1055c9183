"""The passes as one differentiable function: the states of tasks, with gradients that are written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mml.meta.inner import Fast
from mml.model.encoder.dropout import Dropout, site_factors
from mml.model.encoder.fused.ops import LowRank
from mml.model.encoder.fused.passes import FusedEncoder, Passes, Weights
from mml.model.encoder.fused.sinks import Collected, collapsed
from mml.model.encoder.plain_causal import causal_states
from mml.model.encoder.slot import TaskInputs


def fused_states(
    module: nn.Module, encoder: FusedEncoder, inputs: TaskInputs, fast: Fast, leaves: Mapping[str, Tensor] | None = None
) -> Tensor:
    """States [U, L, d] of U tasks, or of a batch of U rows under the same weights, in the module's present mode.

    Args:
        module: whose parameters are used where `fast` names none; its dropout layers are `TaskDropout`s.
        encoder: its passes.
        inputs: what is encoded.
        fast: parameter name -> stacked weights [U, ...], or with `leaves` a LowRank.
        leaves: name -> [...]; if given, the gradients by the fast weights, summed over tasks, go to these.
    """
    own: Fast = dict(module.named_parameters())
    dims = {name: value.dim() for name, value in own.items()}
    weights, wanted = {**own, **fast}, {**own, **(fast if leaves is None else leaves)}
    dropout = site_factors(module, inputs.noise_keys)
    call = Call(
        encoder=encoder,
        weights={name: _without_graph(value, dims[name]) for name, value in weights.items()},
        names=tuple(wanted),
        stacked=tuple(value.dim() > dims[name] for name, value in wanted.items()),
        dropout=dropout,
        reference=lambda vectors, bias, *given: causal_states(
            encoder, dict(zip(wanted, given, strict=True)), vectors, bias, dropout
        ),
    )
    states: Tensor = _Encode.apply(call, inputs.vectors, inputs.bias, *wanted.values())
    return states


def _without_graph(value: Tensor | LowRank, dim: int) -> Tensor | LowRank:
    if isinstance(value, LowRank):
        return value
    value = value.detach()
    return collapsed(value) if value.dim() > dim else value


@dataclass(frozen=True)
class Call:
    """One call of the encoder under autograd.

    Args:
        encoder: its shape.
        weights: what it computes with; no gradient flows to them but to the leaves that stand for them.
        names: the leaves' names.
        stacked: whether each leaf is stacked; one that is not gets the sum over tasks.
        dropout: factors of each site.
        reference: (item vectors, bias, *leaves) -> states, the same by autograd, for gradients of gradients.
    """

    encoder: FusedEncoder
    weights: Weights
    names: tuple[str, ...]
    stacked: tuple[bool, ...]
    dropout: Dropout
    reference: Callable[..., Tensor]


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: Call, vectors: Tensor, bias: Tensor | None, *leaves: Tensor) -> Tensor:
        mask = call.encoder.attention_mask(vectors.shape[1], vectors, bias)
        states, passes = call.encoder.run(call.weights, vectors, mask, call.dropout)
        ctx.call, ctx.passes = call, passes
        ctx.save_for_backward(vectors, bias, *leaves)
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        call: Call = ctx.call
        vectors, bias, *leaves = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            return None, *_by_reference(call, [vectors, bias, *leaves], wanted, grads[0])
        return None, *_written_out(call, ctx.passes, (vectors, bias, *leaves), wanted, grads[0])


def _written_out(
    call: Call, passes: Passes, inputs: tuple[Tensor | None, ...], wanted: tuple[bool, ...], dstates: Tensor
) -> list[Tensor | None]:
    sink = Collected({n: s for n, s, w in zip(call.names, call.stacked, wanted[2:], strict=True) if w})
    below = call.encoder.back(call.weights, dstates.contiguous(), passes, sink, inputs=wanted[0] or wanted[1])
    dbias = None
    if wanted[1]:
        assert below.mask is not None
        dbias = below.mask.view(len(dstates), -1, *below.mask.shape[1:]).sum(1)
    result: list[Tensor | None] = [below.vectors if wanted[0] else None, dbias]
    for name, leaf in zip(call.names, inputs[2:], strict=True):
        grad = sink.grads.get(name)
        assert leaf is not None
        if grad is not None and grad.shape != leaf.shape:  # positions that are not in use
            whole = leaf.new_zeros(leaf.shape)
            whole.narrow(-2, 0, grad.shape[-2]).copy_(grad)
            grad = whole
        result.append(grad)
    return result


def _by_reference(
    call: Call, inputs: list[Tensor | None], wanted: tuple[bool, ...], dstates: Tensor
) -> list[Tensor | None]:
    """As `_written_out`, with a graph, so that the gradients have gradients."""
    chosen = [value for value, want in zip(inputs, wanted, strict=True) if want and value is not None]
    grads = iter(torch.autograd.grad(call.reference(*inputs), chosen, dstates, create_graph=True))
    return [next(grads) if want and value is not None else None for value, want in zip(inputs, wanted, strict=True)]
