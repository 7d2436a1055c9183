"""What is taken of the items that nobody has touched: learned from the launches of the log's past."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mml.data.events import EventLog
from mml.data.rolling import rolling_newcomers

_CUTS = (0.5, 0.625, 0.75)  # of the arrivals: what was new at one may be taken after it
_SHOTS = tuple(range(1, 10))
_PENALTY = 0.01  # of the weights' squares
_STEPS = 100


def learned(past: EventLog, content: np.ndarray, repeatable: bool) -> np.ndarray:
    """The weights w, float64 [d], of a multinomial logit of untouched items, exp(v . w), v an item's content.

    They make what newcomers after earlier moments of the log took of the items that were untouched then likeliest, less
    a penalty. 0 where nobody took any.

    Args:
        past: the log; nothing else is used.
        content: float64 [n_items, d].
        repeatable: whether an item that the user had already may be a target.
    """
    cuts = [one for cut in _CUTS if (one := _taken(past, cut, len(content), repeatable)) is not None]
    weights = torch.zeros(content.shape[1], dtype=torch.float64, requires_grad=True)
    if not cuts:
        return weights.detach().numpy()
    vectors = torch.from_numpy(content)
    optimiser = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        scores = vectors @ weights
        loss = _PENALTY * (weights**2).sum()
        for items, shares in cuts:
            loss = loss - (shares * scores[items].log_softmax(0)).sum() / len(cuts)
        loss.backward()
        return loss

    optimiser.step(closure)
    return weights.detach().numpy().copy()


def _taken(past: EventLog, cut: float, n_items: int, repeatable: bool) -> tuple[Tensor, Tensor] | None:
    """The items that were untouched at a cut, int64 [n], and their shares of what newcomers took of them, float64 [n];
    None where they took nothing."""
    cases = rolling_newcomers(past, "frozen", _SHOTS, (cut,), repeatable)
    if not len(cases):
        return None
    untouched = past.first_touches(n_items) >= cases.queries.known[0]
    untouched[0] = False
    counts = np.bincount(cases.targets, minlength=n_items)[untouched]
    if not counts.any():
        return None
    return torch.from_numpy(np.flatnonzero(untouched)), torch.from_numpy(counts / counts.sum())
