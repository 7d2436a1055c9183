"""Layers that take steps of gradient descent as the gradients come: of one task, or of many at once.

One task has matrices of its own, in which each step is a product. Of many tasks none has: after s steps over n places
a matrix is the shared one minus a product of rank s n, which is kept as two thin matrices. So all products with the
shared matrix are those of all tasks at once, and a step changes nothing but vectors. `LowRank` in `ops` is the same for
one step after the other; here the number of steps is known, so that there is room for all of them from the start.

Legend: U tasks, L positions, rows: U L of them, task by task.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

aten = torch.ops.aten

_ALL = [True, True, True]
_INPUT = [True, False, False]
_MANY = 8  # matrices from which on a copy is worth its call


_LONG = 128  # sum over so many: from here on products with a transposed factor are as quick as others


def times_transposed(a: Tensor, b: Tensor) -> Tensor:
    """a b^T for many small matrices, [n, p, k] and [n, q, k] -> [n, p, q].

    If k is small, the kernel takes five times as long as for a product with a copy of b^T.
    """
    across = b.transpose(1, 2)
    return torch.bmm(a, across.contiguous() if len(a) > _MANY and a.shape[2] < _LONG else across)


class Matrix(NamedTuple):
    """A linear layer that all tasks share, the matrix both ways round: products of few rows want theirs in order.

    Args:
        forward: [in, out].
        across: the same, as [out, in].
        back: [out, in], in order.
        bias: [out].
    """

    forward: Tensor
    across: Tensor
    back: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor) -> Matrix:
        """Of a module's weight [out, in]."""
        forward = weight.t().contiguous()
        return cls(forward, forward.t(), weight.contiguous(), bias)


class Vectors:
    """The biases and the normalisations' vectors of one task, which change together once a step's gradients are there.

    Args:
        rate: inner learning rate.
    """

    def __init__(self, rate: float) -> None:
        self.values: list[Tensor] = []
        self._rate = rate
        self._slopes: list[Tensor] = []

    def place(self, value: Tensor) -> int:
        """Take in a vector; its place among the values."""
        self.values.append(value)
        self._slopes.append(value)
        return len(self.values) - 1

    def slope(self, place: int, gradient: Tensor) -> None:
        """The gradient of the vector at a place."""
        self._slopes[place] = gradient

    def step(self) -> None:
        """A step of gradient descent for all of them: one call instead of twenty."""
        self.values = list(torch._foreach_add(self.values, self._slopes, alpha=-self._rate))


@dataclass(frozen=True)
class Plan:
    """What all tasks of a chunk do.

    Args:
        n_tasks: U.
        steps: how many there are.
        length: positions of a step.
        rate: inner learning rate.
    """

    n_tasks: int
    steps: int
    length: int
    rate: float

    @cached_property
    def vectors(self) -> Vectors:
        """Of a task alone."""
        return Vectors(self.rate)


class Linear(Protocol):
    """A linear layer of each task."""

    def __call__(self, x: Tensor) -> Tensor:
        """Rows [r, in] -> [r, out]."""

    def onto(self, before: Tensor, x: Tensor) -> Tensor:
        """Rows [r, in] -> [r, out], added to `before`, which is left as it is."""

    def back(self, dy: Tensor) -> Tensor:
        """The gradient by the input: rows [r, out] -> [r, in]."""

    def back_onto(self, dx: Tensor, dy: Tensor) -> Tensor:
        """The same, added to `dx` in place."""

    def step(self, x: Tensor, dy: Tensor) -> None:
        """Take a step of gradient descent along dy^T x: rows [r, in] and [r, out]."""


class OwnLinear:
    """Of one task.

    Args:
        shared: before the first step.
        plan: of the task.
    """

    def __init__(self, shared: Matrix, plan: Plan) -> None:
        self._weight, self._back, self._is_own = shared.forward, shared.across, False
        self._rate, self._vectors = plan.rate, plan.vectors
        self._bias = plan.vectors.place(shared.bias)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.mm(x, self._weight).add_(self._vectors.values[self._bias])

    def onto(self, before: Tensor, x: Tensor) -> Tensor:
        return torch.add(before, self._vectors.values[self._bias]).addmm_(x, self._weight)

    def back(self, dy: Tensor) -> Tensor:
        return torch.mm(dy, self._back)

    def back_onto(self, dx: Tensor, dy: Tensor) -> Tensor:
        return dx.addmm_(dy, self._back)

    def step(self, x: Tensor, dy: Tensor) -> None:
        if self._is_own:
            self._weight.addmm_(x.t(), dy, alpha=-self._rate)
        else:
            self._weight = torch.addmm(self._weight, x.t(), dy, alpha=-self._rate)
            self._back, self._is_own = self._weight.t(), True
        self._vectors.slope(self._bias, dy.sum(0))


class ThinLinear:
    """Of many tasks, whose steps are kept as thin matrices.

    Args:
        shared: before the first step.
        plan: of the chunk.
    """

    def __init__(self, shared: Matrix, plan: Plan) -> None:
        n_in, n_out = shared.forward.shape
        self._shared, self._plan, self._rank = shared, plan, 0
        room, new = plan.steps * plan.length, shared.bias.new_empty
        self._x, self._dy = new(plan.n_tasks, room, n_in), new(plan.n_tasks, room, n_out)

    def __call__(self, x: Tensor) -> Tensor:
        return self._less_steps(torch.mm(x, self._shared.forward).add_(self._shared.bias), x)

    def onto(self, before: Tensor, x: Tensor) -> Tensor:
        return self._less_steps(torch.add(before, self._shared.bias).addmm_(x, self._shared.forward), x)

    def back(self, dy: Tensor) -> Tensor:
        return self._less_steps_back(torch.mm(dy, self._shared.back), dy)

    def back_onto(self, dx: Tensor, dy: Tensor) -> Tensor:
        return self._less_steps_back(dx.addmm_(dy, self._shared.back), dy)

    def step(self, x: Tensor, dy: Tensor) -> None:
        begin = self._rank
        self._rank += self._plan.length
        self._x[:, begin : self._rank] = self._of_tasks(x)
        self._dy[:, begin : self._rank] = self._of_tasks(dy)

    def _less_steps(self, y: Tensor, x: Tensor) -> Tensor:
        """y less rate (x X^T + 1) dY, in place: a bias goes the way of a column of ones in X."""
        if self._rank:
            thin = times_transposed(self._of_tasks(x), self._x[:, : self._rank]).add_(1)
            self._of_tasks(y).baddbmm_(thin, self._dy[:, : self._rank], alpha=-self._plan.rate)
        return y

    def _less_steps_back(self, dx: Tensor, dy: Tensor) -> Tensor:
        """dx less rate (dy dY^T) X, in place."""
        if self._rank:
            thin = times_transposed(self._of_tasks(dy), self._dy[:, : self._rank])
            self._of_tasks(dx).baddbmm_(thin, self._x[:, : self._rank], alpha=-self._plan.rate)
        return dx

    def _of_tasks(self, rows: Tensor) -> Tensor:
        return rows.view(self._plan.n_tasks, -1, rows.shape[1])


def linear(shared: Matrix, plan: Plan) -> Linear:
    """A linear layer of the tasks of a chunk."""
    return OwnLinear(shared, plan) if plan.n_tasks == 1 else ThinLinear(shared, plan)


class Normed(NamedTuple):
    """What the backward pass of a layer normalisation needs: input and bare output [r, d], mean and 1/std [r, 1]."""

    x: Tensor
    normalised: Tensor
    mean: Tensor
    rstd: Tensor


class Norm(Protocol):
    """A layer normalisation of each task."""

    def __call__(self, x: Tensor) -> tuple[Tensor, Normed]:
        """Rows [r, d] -> [r, d]."""

    def descend(self, dy: Tensor, saved: Normed) -> Tensor:
        """The gradient by the input, rows [r, d]; a step of gradient descent is taken."""


class OwnNorm:
    """Of one task.

    Args:
        weight, bias: before the first step, [d].
        eps: of the module.
        plan: of the task.
    """

    def __init__(self, weight: Tensor, bias: Tensor, eps: float, plan: Plan) -> None:
        self._eps, self._vectors = eps, plan.vectors
        self._weight, self._bias = plan.vectors.place(weight), plan.vectors.place(bias)

    def __call__(self, x: Tensor) -> tuple[Tensor, Normed]:
        now = self._vectors.values
        y, mean, rstd = torch.native_layer_norm(x, x.shape[1:], now[self._weight], now[self._bias], self._eps)
        return y, Normed(x, y, mean, rstd)

    def descend(self, dy: Tensor, saved: Normed) -> Tensor:
        now = self._vectors.values
        x, _, mean, rstd = saved
        dx: Tensor
        dx, dweight, dbias = aten.native_layer_norm_backward(
            dy, x, x.shape[1:], mean, rstd, now[self._weight], now[self._bias], _ALL
        )
        self._vectors.slope(self._weight, dweight)
        self._vectors.slope(self._bias, dbias)
        return dx


class StackedNorm:
    """Of many tasks.

    Args:
        weight, bias: before the first step, [d].
        eps: of the module.
        plan: of the chunk.
    """

    def __init__(self, weight: Tensor, bias: Tensor, eps: float, plan: Plan) -> None:
        self._weight, self._bias, self._eps, self._plan = weight, bias, eps, plan

    def __call__(self, x: Tensor) -> tuple[Tensor, Normed]:
        normalised, mean, rstd = torch.native_layer_norm(x, x.shape[1:], None, None, self._eps)
        y = torch.addcmul(self._bias, self._of_tasks(normalised), self._weight)
        return y.view(x.shape), Normed(x, normalised, mean, rstd)

    def descend(self, dy: Tensor, saved: Normed) -> Tensor:
        x, normalised, mean, rstd = saved
        own, rate = self._of_tasks(dy), self._plan.rate
        slope = (own * self._weight).view(dy.shape)
        dx: Tensor = aten.native_layer_norm_backward(slope, x, x.shape[1:], mean, rstd, None, None, _INPUT)[0]
        self._weight = torch.sub(self._weight, (own * self._of_tasks(normalised)).sum(1, True), alpha=rate)
        self._bias = torch.sub(self._bias, own.sum(1, True), alpha=rate)
        return dx

    def _of_tasks(self, rows: Tensor) -> Tensor:
        return rows.view(self._plan.n_tasks, -1, rows.shape[1])


def norm(weight: Tensor, bias: Tensor, eps: float, plan: Plan) -> Norm:
    """A layer normalisation of the tasks of a chunk."""
    return (OwnNorm if plan.n_tasks == 1 else StackedNorm)(weight, bias, eps, plan)
