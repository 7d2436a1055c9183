"""What becomes of the fused encoder's gradients: collected for autograd, or a step of gradient descent in place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from mml.meta.inner import Fast, Rates
from mml.model.encoder.fused.ops import LowRank, is_quicker


def collapsed(stacked: Tensor) -> Tensor:
    """Stacked weights [U, ...] as one tensor [...] if they are that tensor repeated without copying."""
    return stacked[0] if stacked.stride(0) == 0 and len(stacked) > 1 else stacked


@cache
def _any_begins(names: tuple[str, ...], prefixes: tuple[str, ...]) -> bool:
    return any(name.startswith(prefixes) for name in names)


class Collected:
    """A sink that keeps gradients: summed over tasks, or each task's own.

    Args:
        stacked: name of each wanted parameter -> whether each task's own gradient, [U, ...], is wanted.
    """

    def __init__(self, stacked: Mapping[str, bool]) -> None:
        self._stacked = stacked
        self._tasks = tuple(stacked)
        self.grads: dict[str, Tensor] = {}

    def wants(self, *prefixes: str) -> bool:
        return _any_begins(self._tasks, prefixes)

    def matrix(self, name: str, dy: Tensor, x: Tensor) -> None:
        if name not in self._stacked:
            return
        if self._stacked[name]:
            grad = torch.bmm(dy.transpose(1, 2), x)
        else:
            grad = dy.reshape(-1, dy.shape[-1]).t() @ x.reshape(-1, x.shape[-1])
        self.grads[name] = grad

    def vector(self, name: str, terms: Tensor) -> None:
        if name in self._stacked:
            self.grads[name] = terms.sum(1) if self._stacked[name] else terms.sum((0, 1))

    def rows(self, name: str, terms: Tensor) -> None:
        if name in self._stacked:
            self.grads[name] = terms if self._stacked[name] else terms.sum(0)


class Descent:
    """A sink that takes a step of gradient descent as the gradients come; no matrix gradient is ever held.

    With one rate, a matrix that starts as the same for all tasks becomes a LowRank, as long as that
    is quicker.

    Args:
        fast: stacked weights [U, ...], or LowRanks. Tensors that are repetitions of one tensor are replaced, others are
            changed in place.
        rates: one rate, or one of each parameter's shape.
    """

    def __init__(self, fast: Fast, rates: Rates) -> None:
        self.fast = fast
        self._rates = rates
        self._names = tuple(fast)
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def wants(self, *prefixes: str) -> bool:
        return _any_begins(self._names, prefixes)

    def matrix(self, name: str, dy: Tensor, x: Tensor) -> None:
        if name not in self.fast:
            return
        value = self.fast[name]
        if isinstance(self._rates, Mapping):
            self._step(name, torch.bmm(dy.transpose(1, 2), x))
            return
        if isinstance(value, LowRank):
            after = value.stepped(dy, self._joined(value.x, x))
        elif collapsed(value) is value:
            value.baddbmm_(dy.transpose(1, 2), x, alpha=-self._rates)
            return
        else:  # dy will be added to in place
            after = LowRank(collapsed(value), dy.clone(), x, self._rates)
        self.fast[name] = after if is_quicker(after.x.shape[1], after.shared) else after.formed()

    def _joined(self, before: Tensor, x: Tensor) -> Tensor:
        """Inputs of the steps before, with those of this one; query, key and value have them in common."""
        if self._last is None or self._last[0] is not before or self._last[1] is not x:
            self._last = before, x, torch.cat([before, x], 1)
        return self._last[2]

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
            value.addcmul_(grad, self._rates[name].detach()[: value.shape[1]], value=-1)
        else:
            value.sub_(grad, alpha=self._rates)
