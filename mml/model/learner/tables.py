"""What follows from a trained learner's weights alone: made once, and again when a weight has changed."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")
Moments = tuple[Tensor, Tensor]
"""Mean [k] and covariance [k, k] of the warm items' rows."""


@dataclass(frozen=True)
class ItemTables:
    """A learner's items.

    Args:
        vectors: [n_items, d], what the encoder gets.
        candidates: [n_items, d + R], what items are scored by.
        trained: bool [n_items], the items that were candidates in training.
        moments: of the candidates.
    """

    vectors: Tensor
    candidates: Tensor
    trained: Tensor
    moments: Moments


def moments_of(table: Tensor, n_warm_items: int) -> Moments:
    """Mean [k] and covariance [k, k] of the rows 1..n_warm_items of a table [n, k]."""
    warm = table[1 : n_warm_items + 1]
    return warm.mean(0), torch.cov(warm.T, correction=0)


class MadeOnce(Generic[T]):
    """A value that follows from the parameters and buffers of a module.

    Args:
        module: whose weights the value follows from.
    """

    def __init__(self, module: nn.Module) -> None:
        self._modules = list(module.modules())
        self._made: tuple[list[Tensor], list[int], T] | None = None

    def value(self, make: Callable[[], T]) -> T:
        """What `make`, called without a graph, makes of the weights as they are now."""
        weights = self._weights()
        versions = [weight._version for weight in weights]
        if self._made is None or not _same(self._made[0], weights) or self._made[1] != versions:
            with torch.no_grad():
                self._made = weights, versions, make()
        return self._made[2]

    def _weights(self) -> list[Tensor]:
        found: list[Tensor] = []
        for module in self._modules:
            for own in (module._parameters, module._buffers):
                found += [weight for weight in own.values() if weight is not None]
        return found


def _same(before: list[Tensor], now: list[Tensor]) -> bool:
    """Whether these are the same objects; what was changed in place, their versions tell."""
    return len(before) == len(now) and all(map(operator.is_, before, now))
