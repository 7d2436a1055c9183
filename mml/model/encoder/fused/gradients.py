"""What becomes of the fused encoder's gradients: collected for autograd, or a step of gradient descent in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mml.meta.inner import Fast, Rates
from mml.model.encoder.fused.ops import LowRank, pays
from mml.model.encoder.fused.passes import Dropout, FusedEncoder, Passes, Weights


def collapsed(stacked: Any) -> Any:
    """Stacked weights [U, ...] as one tensor [...] if they are that tensor repeated without copying."""
    if isinstance(stacked, LowRank):
        return stacked
    return stacked[0] if stacked.stride(0) == 0 and len(stacked) > 1 else stacked


class Collected:
    """A sink that keeps gradients: summed over tasks, or each task's own.

    Args:
        stacked: name of each wanted parameter -> whether each task's own gradient, [U, ...], is wanted.
        dtype: of the gradients.
    """

    def __init__(self, stacked: Mapping[str, bool], dtype: torch.dtype) -> None:
        self._stacked, self._dtype = stacked, dtype
        self._tasks = tuple(stacked)
        self.grads: dict[str, Tensor] = {}

    def wants(self, *prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in self._tasks)

    def matrix(self, name: str, dy: Tensor, x: Tensor) -> None:
        if name not in self._stacked:
            return
        if self._stacked[name]:
            grad = torch.bmm(dy.transpose(1, 2), x)
        else:
            grad = dy.reshape(-1, dy.shape[-1]).t() @ x.reshape(-1, x.shape[-1])
        self.grads[name] = grad.to(self._dtype)

    def vector(self, name: str, terms: Tensor) -> None:
        if name in self._stacked:
            self.grads[name] = terms.sum(1) if self._stacked[name] else terms.sum((0, 1))

    def rows(self, name: str, terms: Tensor) -> None:
        if name in self._stacked:
            self.grads[name] = terms if self._stacked[name] else terms.sum(0)


class Descent:
    """A sink that takes a step of gradient descent as the gradients come; no matrix gradient is ever held.

    With one rate, a matrix that starts as the same for all tasks becomes a LowRank, as long as that pays.

    Args:
        fast: stacked weights [U, ...], or LowRanks. Tensors that are repetitions of one tensor are replaced, others are
            changed in place.
        rates: one rate, or one of each parameter's shape.
    """

    def __init__(self, fast: Fast, rates: Rates) -> None:
        self.fast = fast
        self._rates = rates

    def wants(self, *prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in self.fast)

    def matrix(self, name: str, dy: Tensor, x: Tensor) -> None:
        if name not in self.fast:
            return
        value = self.fast[name]
        if isinstance(self._rates, Mapping) or dy.dtype != value.dtype:
            self._step(name, torch.bmm(dy.transpose(1, 2), x))
            return
        if isinstance(value, LowRank):
            after = value.stepped(dy, x)
        elif collapsed(value) is value:
            value.baddbmm_(dy.transpose(1, 2), x, alpha=-self._rates)
            return
        else:  # dy will be added to in place
            after = LowRank(collapsed(value), dy.clone(), x, self._rates)
        self.fast[name] = after if pays(after.x.shape[1], after.shared) else after.formed()

    def vector(self, name: str, terms: Tensor) -> None:
        if name in self.fast:
            self._step(name, terms.sum(1))

    def rows(self, name: str, terms: Tensor) -> None:
        if name in self.fast:
            self._step(name, terms)

    def _step(self, name: str, grad: Tensor) -> None:
        """grad is [U, ...], or has only the first rows of it."""
        value = self.fast[name]
        if collapsed(value) is not value:
            self.fast[name] = value = value.clone(memory_format=torch.contiguous_format)
        if grad.shape != value.shape:
            value = value[:, : grad.shape[1]]
        if isinstance(self._rates, Mapping):
            value.addcmul_(grad.to(value.dtype), self._rates[name].detach()[: value.shape[1]], value=-1)
        else:
            value.sub_(grad, alpha=self._rates)


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


def encode(call: Call, vectors: Tensor, bias: Tensor | None, leaves: list[Tensor]) -> Tensor:
    """States [U, L, d] of item vectors [U, L, d], differentiable by vectors, bias and leaves."""
    states: Tensor = _Encode.apply(call, vectors, bias, *leaves)
    return states


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
    sink = Collected({n: s for n, s, w in zip(call.names, call.stacked, wanted[2:], strict=True) if w}, dstates.dtype)
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
