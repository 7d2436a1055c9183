"""What follows from a module's weights alone: made once, and again when a weight has changed."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


class MadeOnce(Generic[T]):
    """A value that follows from the parameters and buffers of a module.

    Args:
        module: whose weights the value follows from.
    """

    def __init__(self, module: nn.Module) -> None:
        both = [own for part in module.modules() for own in (part._parameters, part._buffers)]
        self._places: list[dict[str, Tensor | None]] = [own for own in both if own]  # type: ignore[misc]
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
        return [weight for own in self._places for weight in own.values() if weight is not None]


def _same(before: list[Tensor], now: list[Tensor]) -> bool:
    """Whether these are the same objects; what was changed in place, their versions tell."""
    return len(before) == len(now) and all(map(operator.is_, before, now))
