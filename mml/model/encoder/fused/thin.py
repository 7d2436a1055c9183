"""Layers of many tasks that take steps of gradient descent as the gradients come, without weights of their own.

After s steps over n positions a task's matrix is the shared one minus a product of rank s n, which is kept as two thin
matrices. So all products with the shared matrix are those of all tasks at once, and a step changes nothing but vectors.
`LowRank` in `ops` is the same for one step after the other; here the number of steps is known, so that there is room
for all of them from the start.

Legend: U tasks, L positions, rows: U L of them, task by task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mml.model.encoder.fused.ops import Normed

aten = torch.ops.aten

_INPUT = [True, False, False]
_LONG = 128  # sum over so many: from here on products with a transposed factor are as quick as others


def times_transposed(a: Tensor, b: Tensor) -> Tensor:
    """a b^T for many small matrices, [n, p, k] and [n, q, k] -> [n, p, q].

    If k is small, the kernel takes five times as long as for a product with a copy of b^T.
    """
    across = b.transpose(1, 2)
    return torch.bmm(a, across.contiguous() if a.shape[2] < _LONG else across)


class Matrix(NamedTuple):
    """A linear layer that all tasks share, the matrix both ways round, as products want it in order.

    Args:
        forward: [in, out].
        back: [out, in].
        bias: [out].
    """

    forward: Tensor
    back: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor) -> Matrix:
        """Of a module's weight [out, in]."""
        return cls(weight.t().contiguous(), weight.contiguous(), bias)


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


class Linear:
    """A linear layer of each task.

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
        """Rows [r, in] -> [r, out]."""
        return self._less_steps(torch.mm(x, self._shared.forward).add_(self._shared.bias), x)

    def onto(self, before: Tensor, x: Tensor) -> Tensor:
        """Rows [r, in] -> [r, out], added to `before`, which is left as it is."""
        return self._less_steps(torch.add(before, self._shared.bias).addmm_(x, self._shared.forward), x)

    def back(self, dy: Tensor) -> Tensor:
        """The gradient by the input: rows [r, out] -> [r, in]."""
        return self._less_steps_back(torch.mm(dy, self._shared.back), dy)

    def back_onto(self, dx: Tensor, dy: Tensor) -> Tensor:
        """The same, added to `dx` in place."""
        return self._less_steps_back(dx.addmm_(dy, self._shared.back), dy)

    def step(self, x: Tensor, dy: Tensor) -> None:
        """Take a step of gradient descent along dy^T x, rows [r, in] and [r, out], of which copies are kept."""
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


class Norm:
    """A layer normalisation of each task.

    Args:
        weight, bias: before the first step, [d].
        eps: of the module.
        plan: of the chunk.
    """

    def __init__(self, weight: Tensor, bias: Tensor, eps: float, plan: Plan) -> None:
        self._weight, self._bias, self._eps, self._plan = weight, bias, eps, plan

    def __call__(self, x: Tensor) -> tuple[Tensor, Normed]:
        """Rows [r, d] -> [r, d]."""
        normalised, mean, rstd = torch.native_layer_norm(x, x.shape[1:], None, None, self._eps)
        y = torch.addcmul(self._bias, self._of_tasks(normalised), self._weight)
        return y.view(x.shape), Normed(x, normalised, mean, rstd)

    def descend(self, dy: Tensor, saved: Normed) -> Tensor:
        """The gradient by the input, rows [r, d]; a step of gradient descent is taken."""
        x, normalised, mean, rstd = saved
        own, rate = self._of_tasks(dy), self._plan.rate
        slope = (own * self._weight).view(dy.shape)
        dx: Tensor = aten.native_layer_norm_backward(slope, x, x.shape[1:], mean, rstd, None, None, _INPUT)[0]
        self._weight = torch.sub(self._weight, (own * self._of_tasks(normalised)).sum(1, True), alpha=rate)
        self._bias = torch.sub(self._bias, own.sum(1, True), alpha=rate)
        return dx

    def _of_tasks(self, rows: Tensor) -> Tensor:
        return rows.view(self._plan.n_tasks, -1, rows.shape[1])
