"""Forward and backward of the encoder's building blocks, written out, for weights that are shared or one per task.

Every weight is either shared, with the shape the module gives it, or stacked, [U, ...], one for each of U tasks. A
gradient is handed to a sink as soon as it is known and in the form in which it arises (a weight matrix's is the
product dY^T X), so that whoever takes it need not hold it: an update in place writes the product straight into the
weights.

Legend: U tasks, L positions, d hidden size, H heads, k = d / H.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

aten = torch.ops.aten

_LOW = 0.5  # share of a matrix's numbers up to which two thin ones are quicker (`python -m benchmarks.products`)


class Sink(Protocol):
    """Takes the gradients of parameters, by name."""

    def matrix(self, name: str, dy: Tensor, x: Tensor) -> None:
        """The gradient of a weight [out, in] is dy^T x: dy [U, L, out], x [U, L, in]."""

    def vector(self, name: str, terms: Tensor) -> None:
        """The gradient of a vector [n] is the sum of terms [U, L, n] over positions."""

    def rows(self, name: str, terms: Tensor) -> None:
        """The gradient of the first L rows of a table [l, n] is terms [U, L, n]."""

    def wants(self, *prefixes: str) -> bool:
        """Whether any parameter whose name begins with one of these is taken."""


# -- linear layer --------------------------------------------------------------------------------------------------


class LowRank(NamedTuple):
    """A matrix for each task that is not formed: shared - rate dy^T x.

    It is what few steps of gradient descent over few positions make of one matrix.

    Args:
        shared: [out, in].
        dy: [U, r, out].
        x: [U, r, in].
        rate: inner learning rate.
    """

    shared: Tensor
    dy: Tensor
    x: Tensor
    rate: float

    def stepped(self, dy: Tensor, joined: Tensor) -> LowRank:
        """After one more step, along dy^T x: dy [U, L, out]; `joined` are `self.x` and x, [U, r + L, in]."""
        return LowRank(self.shared, torch.cat([self.dy, dy], 1), joined, self.rate)

    def formed(self) -> Tensor:
        """[U, out, in]."""
        return torch.baddbmm(self.shared, self.dy.transpose(1, 2), self.x, alpha=-self.rate)


def is_quicker(rank: int, matrix: Tensor) -> bool:
    """Whether a LowRank of this rank is quicker to work with than [..., out, in] formed and updated in each step."""
    n_out, n_in = matrix.shape[-2:]
    return rank * (n_out + n_in) <= _LOW * n_out * n_in


def per_task(vector: Tensor) -> Tensor:
    """A shared [n] or stacked [U, n] vector, ready to be added to [U, L, n]."""
    return vector if vector.dim() == 1 else vector[:, None]


def thin_product(x: Tensor, weight: LowRank) -> Tensor:
    """x X^T, [U, L, r]: what `linear` needs of a LowRank's X, the same for all matrices that have this X."""
    return torch.bmm(x, weight.x.transpose(1, 2))


def linear(x: Tensor, weight: Tensor | LowRank, bias: Tensor, thin: Tensor | None = None) -> Tensor:
    """x W^T + b: [U, L, in] -> [U, L, out]; `thin` is the `thin_product` if it is known."""
    if isinstance(weight, LowRank):
        thin = thin_product(x, weight) if thin is None else thin
        return linear(x, weight.shared, bias).baddbmm_(thin, weight.dy, alpha=-weight.rate)
    if weight.dim() == 3:
        return torch.baddbmm(per_task(bias), x, weight.transpose(1, 2))
    if bias.dim() == 1:
        return functional.linear(x, weight, bias)
    return functional.linear(x, weight).add_(bias[:, None])


def linear_input(dy: Tensor, weight: Tensor | LowRank, onto: Tensor | None = None) -> Tensor:
    """The gradient by a linear layer's input, dy W: [U, L, out] -> [U, L, in]; added to `onto`, in place, if given."""
    if isinstance(weight, LowRank):
        thin = torch.bmm(dy, weight.dy.transpose(1, 2))
        return linear_input(dy, weight.shared, onto).baddbmm_(thin, weight.x, alpha=-weight.rate)
    if weight.dim() == 2:
        if onto is None:
            return dy @ weight
        onto.view(-1, onto.shape[-1]).addmm_(dy.reshape(-1, dy.shape[-1]), weight)
        return onto
    return torch.bmm(dy, weight) if onto is None else onto.baddbmm_(dy, weight)


# -- layer normalisation -------------------------------------------------------------------------------------------


class Normed(NamedTuple):
    """What the backward pass of a layer normalisation needs: input and bare output [..., d], mean, 1/std [..., 1]."""

    x: Tensor
    normalised: Tensor
    mean: Tensor
    rstd: Tensor


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Normed]:
    """[U, L, d] -> [U, L, d]."""
    normalised, mean, rstd = torch.native_layer_norm(x, x.shape[-1:], None, None, eps)
    return torch.addcmul(per_task(bias), normalised, per_task(weight)), Normed(x, normalised, mean, rstd)


def layer_norm_backward(dy: Tensor, saved: Normed, name: str, weight: Tensor, sink: Sink) -> Tensor:
    """The gradient by the input [..., d], as `dy`; those of `name`.weight and `name`.bias go to the sink."""
    dx: Tensor = aten.native_layer_norm_backward(
        dy * per_task(weight), saved.x, dy.shape[-1:], saved.mean, saved.rstd, None, None, [True, False, False]
    )[0]
    if sink.wants(f"{name}."):
        sink.vector(f"{name}.weight", dy * saved.normalised)
        sink.vector(f"{name}.bias", dy)
    return dx


# -- activation ----------------------------------------------------------------------------------------------------


class Activation(NamedTuple):
    """A function, and the gradient by its input from (dy, x, y)."""

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]


ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": Activation(functional.gelu, lambda dy, x, _y: aten.gelu_backward(dy, x)),
    "relu": Activation(torch.relu, lambda dy, x, _y: aten.threshold_backward(dy, x, 0)),
    "swish": Activation(functional.silu, lambda dy, x, _y: aten.silu_backward(dy, x)),
    "tanh": Activation(torch.tanh, lambda dy, _x, y: aten.tanh_backward(dy, y)),
    "sigmoid": Activation(torch.sigmoid, lambda dy, _x, y: aten.sigmoid_backward(dy, y)),
}
"""RecBole's `hidden_act`."""


# -- attention -----------------------------------------------------------------------------------------------------


class Attended(NamedTuple):
    """What the backward pass of the attention needs.

    Args:
        q, k, v: [U * H, L, k].
        weights: the softmax, [U * H, L, L].
        used: the weights after dropout, or `weights` itself.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    weights: Tensor
    used: Tensor


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """[U, L, d] -> [U * H, L, k]."""
    n, length, d = x.shape
    return x.view(n, length, n_heads, d // n_heads).transpose(1, 2).reshape(n * n_heads, length, d // n_heads)


def join_heads(x: Tensor, n_heads: int) -> Tensor:
    """[U * H, L, k] -> [U, L, d]."""
    n, length, k = x.shape
    return x.view(n // n_heads, n_heads, length, k).transpose(1, 2).reshape(n // n_heads, length, n_heads * k)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, dropout: Tensor | None) -> tuple[Tensor, Attended]:
    """softmax(q k^T / sqrt(k) + mask) v, of heads that are split.

    Args:
        q, k, v: [U * H, L, k].
        mask: added to the logits, [L, L] or [U * H, L, L].
        dropout: multiplies the softmax, [U, H, L, L], or None.

    Returns:
        [U * H, L, k], and what the backward pass needs.
    """
    logits = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=1.0 / math.sqrt(q.shape[-1]))
    weights = torch.softmax(logits, -1)
    used = weights if dropout is None else weights * dropout.view_as(weights)
    return torch.bmm(used, v), Attended(q, k, v, weights, used)


def attention_backward(dy: Tensor, saved: Attended, dropout: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients by q, k, v [U * H, L, k] and by the mask [U * H, L, L]."""
    dv = torch.bmm(saved.used.transpose(1, 2), dy)
    dweights = torch.bmm(dy, saved.v.transpose(1, 2))
    if dropout is not None:
        dweights *= dropout.view_as(dweights)
    dlogits = aten._softmax_backward_data(dweights, saved.weights, -1, dweights.dtype)
    scale = 1.0 / math.sqrt(saved.q.shape[-1])
    dq = torch.bmm(dlogits, saved.k).mul_(scale)
    dk = torch.bmm(dlogits.transpose(1, 2), saved.q).mul_(scale)
    return dq, dk, dv, dlogits
