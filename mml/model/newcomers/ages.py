"""What is taken of untouched items by the time since their launch, or until it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mml.data.events import EventLog
from mml.data.rolling import Queries
from mml.model.newcomers.settings import NewcomersSettings

# Of the grid: finer or wider than any log tells; the curve between its points is linear.
_FIRST, _LAST = -9, 0  # log2 of ages in spans of the log
_SIDE = _LAST - _FIRST + 1
N_WEIGHTS = 2 * _SIDE + 1
"""At grid points before the launch, at as many after it, and of items whose launch is not known."""
_LEVEL = 0.01  # penalty of the curve's level, which is free else
_STEPS = 100  # more than the fit has been seen to take: it ends where nothing changes


def ages_at(events: EventLog, n_past: int, queries: Queries, launched: np.ndarray) -> np.ndarray:
    """Ages of k items when c queries are asked, float64 [c, k].

    In spans of the first `n_past` events, negative where the launch is to come, NaN where it is not known.

    Args:
        events: the log.
        n_past: how many of them came up to T.
        queries: c of them.
        launched: float64 [k], when the items came, on the log's clock.
    """
    if not len(events):
        return np.full((len(queries), len(launched)), np.nan)
    latest = events.times[np.maximum(queries.known - 1, 0)]
    asked = np.fmax(queries.asked, latest)  # the latest event's time where none is known
    span = float(events.times[n_past - 1] - events.times[0]) if n_past else 0.0
    return (asked[:, None] - launched[None]) / (span or 1.0)


@dataclass(frozen=True)
class AgeCurve:
    """Logits of untouched items by their age.

    Args:
        weights: float64 [N_WEIGHTS], see there.
    """

    weights: np.ndarray

    def of(self, ages: np.ndarray) -> np.ndarray:
        """float64, of ages of any shape, see `ages_at`."""
        place, share = _places(ages)
        return np.asarray(
            (1 - share) * self.weights[place] + share * self.weights[np.minimum(place + 1, N_WEIGHTS - 1)]
        )


class AgedCases(NamedTuple):
    """What c users took of k untouched items.

    Args:
        ages: float64 [c, k].
        untouched: bool [c, k], which of the items were untouched then; the targets were.
        targets: int64 [c], columns.
    """

    ages: np.ndarray
    untouched: np.ndarray
    targets: np.ndarray


def log_offer(logits: np.ndarray, untouched: np.ndarray) -> np.ndarray:
    """The logarithm of what untouched items weigh together, [c, n] each -> float64 [c]; 0 for nothing."""
    return np.log(np.where(untouched, np.exp(logits), 0.0).sum(1) + 1.0)


def fitted_curve(groups: Sequence[AgedCases], how: NewcomersSettings) -> AgeCurve:
    """The curve of a multinomial logit that makes what was taken likeliest, less penalties of its slopes and its bends.

    The fewer cases there are, the flatter it is; where there are none it goes on as it was.
    """
    weights = torch.zeros(N_WEIGHTS, dtype=torch.float64, requires_grad=True)
    n = sum(len(one.targets) for one in groups)
    if not n:
        return AgeCurve(weights.detach().numpy())
    placed = [tuple(map(torch.from_numpy, (*_places(one.ages), one.untouched, one.targets))) for one in groups]
    optimiser = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        curve = weights[:-1]
        bends = curve[2:] - 2 * curve[1:-1] + curve[:-2]
        loss = how.age_penalty * (curve.diff() ** 2).sum() + how.age_bend_penalty * (bends**2).sum()
        loss = (loss + _LEVEL * (weights**2).sum()) / n
        for place, share, untouched, targets in placed:
            scores = (1 - share) * weights[place] + share * weights[(place + 1).clamp(max=N_WEIGHTS - 1)]
            chances = scores.masked_fill(~untouched, -torch.inf).log_softmax(1)
            loss = loss - chances.gather(1, targets[:, None]).sum() / n
        loss.backward()
        return loss

    optimiser.step(closure)
    return AgeCurve(weights.detach().numpy().copy())


def _places(ages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The grid point before each age, int64, and how far it is from there to the next one, float64 from 0 to 1."""
    unknown = np.isnan(ages)
    sizes = np.log2(np.maximum(np.abs(ages, where=~unknown, out=np.ones_like(ages)), 2.0**_FIRST))
    steps = np.minimum(sizes, _LAST) - _FIRST
    along = np.where(
        np.less(ages, 0, where=~unknown, out=np.zeros(ages.shape, dtype=bool)), _SIDE - 1 - steps, _SIDE + steps
    )
    place = np.minimum(along.astype(np.int64), 2 * _SIDE - 2)
    return np.where(unknown, N_WEIGHTS - 1, place), np.where(unknown, 0.0, along - place)
