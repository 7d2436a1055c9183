"""Weights of parts, fitted to what newcomers took: a mixture of shares, and a product of mixtures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Where the iteration ends: arithmetic, no settings.
_STEPS = 500  # a bound on time: what the weights still gain by then moves no list
_ENOUGH = 1e-6  # change of a weight
_NUMBERS = 2**26  # that are multiplied at a time


def mixture_weights(shares: np.ndarray, floor: float, start: np.ndarray | None = None) -> np.ndarray:
    """The weights w >= 0 of sum 1 that make sum_n log(floor + sum_k w_k p_nk) largest, float64 [K].

    It is concave, and each step of w_k <- w_k g_k / sum_j w_j g_j, g the gradient, raises it, as expectation
    maximisation does.
    The floor makes targets that are far from the top of any list count for nothing.

    Args:
        shares: float64 [N, K], p, the parts' shares of the targets.
        floor: see above, not negative.
        start: where to begin; all alike if None. A weight that begins at 0 stays there.
    """
    weights = np.full(shares.shape[1], 1 / shares.shape[1]) if start is None else start
    for _ in range(_STEPS):
        gradient = (shares / np.maximum(shares @ weights + floor, 1e-300)[:, None]).sum(0)
        new = weights * gradient
        if not new.sum():
            return weights
        new /= new.sum()
        done = np.abs(new - weights).max() < _ENOUGH
        weights = new
        if done:
            break
    return weights


class Mixtures(NamedTuple):
    """Mixtures' shares at N cases.

    Args:
        logs: float32 [N, n_items, K], their logs, 0 for what is no candidate.
        excluded: bool [N, n_items], what is none.
    """

    logs: Tensor
    excluded: Tensor

    def blocks(self) -> Iterator[slice]:
        """Cases, so many at a time that what is made of them is small beside a large catalogue."""
        n, size = len(self.logs), max(_NUMBERS // max(self.logs[0].numel(), 1), 1)
        yield from (slice(begin, min(begin + size, n)) for begin in range(0, n, size))

    def product(self, some: slice, weights: Tensor) -> Tensor:
        """Logs of the product of their powers, float32 [c, n_items], -inf for what is no candidate; weights [K]."""
        return (self.logs[some] @ weights).masked_fill_(self.excluded[some], -torch.inf)

    def replaced_by_product(self, weights: Tensor) -> Tensor:
        """The same of all cases, [N, n_items], in the memory of their logs: these are gone."""
        for some in self.blocks():
            self.logs[some, :, 0] = self.product(some, weights)
        return self.logs[:, :, 0]


def product_weights(mixtures: Mixtures, targets: Tensor, floor: float, shrinkage: float) -> Tensor:
    """The exponents b >= 0 of a product of mixtures, float32 [K].

    They make the mean of log(floor + q_n) less shrinkage |b - 1/K|^2 largest, q_n the target's share of
    exp(sum_k b_k log p_nik) over the items i.

    Args:
        mixtures: p.
        targets: int64 [N].
        floor: not negative.
        shrinkage: the larger, the nearer to equal exponents.
    """
    n_parts = mixtures.logs.shape[2]
    equal = torch.full((n_parts,), 1.0 / n_parts)
    root = equal.sqrt().clone().requires_grad_(True)  # b = root^2
    optimiser = torch.optim.LBFGS([root], max_iter=50, line_search_fn="strong_wolfe")

    @torch.no_grad()
    def closure() -> Tensor:
        weights = root**2
        loss, slope = shrinkage * ((weights - equal) ** 2).sum(), 2 * shrinkage * (weights - equal)
        for some in mixtures.blocks():
            logs, places = mixtures.logs[some], targets[some]
            share = mixtures.product(some, weights).softmax(1)
            own = share.gather(1, places[:, None])[:, 0]
            loss -= (own + floor).log().sum() / len(targets)
            # by b_k: the target's log p_k less its mean over q, times the target's part of floor + q
            apart = logs[torch.arange(len(places)), places] - torch.bmm(share[:, None], logs)[:, 0]
            slope -= (own / (own + floor)) @ apart / len(targets)
        root.grad = 2 * root * slope
        return loss

    optimiser.step(closure)
    return (root**2).detach()
