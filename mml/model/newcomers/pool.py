"""Weights of parts, fitted to what newcomers took: a mixture of shares, and a product of mixtures."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# Where the iteration ends: arithmetic, no settings.
_STEPS = 500  # a bound on time: what the weights still gain by then moves no list
_ENOUGH = 1e-6  # change of a weight


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


def product_weights(logs: Tensor, targets: Tensor, floor: float, shrinkage: float) -> Tensor:
    """The exponents b >= 0 of a product of mixtures, float32 [K].

    They make the mean of log(floor + q_n) less shrinkage |b - 1/K|^2 largest, q_n the target's share of
    exp(sum_k b_k log p_nik) over the items i.

    Args:
        logs: float32 [N, n_items, K], log p; -inf for what is no candidate.
        targets: int64 [N].
        floor: not negative.
        shrinkage: the larger, the nearer to equal exponents.
    """
    n_parts = logs.shape[2]
    equal = torch.full((n_parts,), 1.0 / n_parts)
    excluded = torch.isinf(logs).any(2)
    logs = torch.where(excluded[..., None], torch.zeros_like(logs), logs)
    root = equal.sqrt().clone().requires_grad_(True)  # b = root^2
    optimiser = torch.optim.LBFGS([root], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        weights = root**2
        share = (logs @ weights).masked_fill(excluded, -torch.inf).log_softmax(1)
        own = share.gather(1, targets[:, None])[:, 0].exp()
        loss = -(own + floor).log().mean() + shrinkage * ((weights - equal) ** 2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return (root**2).detach()
