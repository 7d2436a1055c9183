"""How often the next item is one that nobody had touched: the more, the longer ago the log ended, and the more such
items there are, just launched."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mml.data.events import EventLog
from mml.data.rolling import Cases, Queries
from mml.model.newcomers.settings import NewcomersSettings


@dataclass(frozen=True)
class Newness:
    """The share of next items that are new, logistic in the log of the time that has passed and in what is offered.

    With the time it grows as far as the log's past has shown: after a gap of many spans all items would be new by the
    same slope.

    Args:
        level: log odds after the whole span of the log.
        slope: of log odds over the log of time; not negative.
        soon: what is added to the time, in spans of the log.
        least: least share, of new ones and of others.
        longest: the longest time that was seen, in spans of the log; after more, the share is as after this one.
        pull: of log odds over the offer, the log of the sum of what the untouched items weigh by their ages; not
            negative.
        usual: the offer that changes nothing.
    """

    level: float
    slope: float = 0.0
    soon: float = NewcomersSettings.newness_soon
    least: float = NewcomersSettings.newness_least
    longest: float = math.inf
    pull: float = 0.0
    usual: float = 0.0

    def share(self, passed: np.ndarray, offer: np.ndarray | None = None) -> np.ndarray:
        """float64 [c], after so much time [c], in spans of the log, of such an offer [c] (None: a usual one)."""
        odds = self.level + self.slope * np.log(np.minimum(passed, self.longest) + self.soon)
        if offer is not None and self.pull:
            odds = odds + self.pull * (offer - self.usual)
        return np.clip(1 / (1 + np.exp(-odds)), self.least, 1 - self.least)


def passed(events: EventLog, n_past: int, queries: Queries) -> np.ndarray:
    """How long after the latest known event the queries are asked, float64 [c], in spans of the first `n_past` events;
    0 where no time is known."""
    if not n_past:
        return np.zeros(len(queries))
    span = float(events.times[n_past - 1] - events.times[0])
    latest = events.times[np.maximum(queries.known - 1, 0)]
    return np.nan_to_num(np.maximum(queries.asked - latest, 0.0)) / (span or 1.0)


def learned_newness(
    events: EventLog, cases: Cases, is_new: np.ndarray, how: NewcomersSettings, offer: np.ndarray | None = None
) -> Newness:
    """Fitted to the rolling newcomers' cases [N], of which `is_new` [N] had a new target.

    Args:
        events: the log up to T.
        cases: of rolling newcomers.
        is_new: bool [N].
        how: the settings; `newness_...` are read.
        offer: float64 [N], of untouched items; None where their launches are not known.
    """
    least, soon = how.newness_least, how.newness_soon
    if not len(cases):
        return Newness(float(np.log(least)), 0.0, soon, least)
    times = passed(events, len(events), cases.queries)
    share = float(np.clip(is_new.mean(), least, 1 - least))
    level = float(np.log(share / (1 - share)))
    columns = {"slope": np.log(times + soon)}
    usual = 0.0
    if offer is not None:
        usual = float(offer.mean())
        columns["pull"] = offer - usual
    columns = {name: column for name, column in columns.items() if column.std()}
    if is_new.all() or not is_new.any():
        columns = {}
    found: dict[str, float] = {}
    while columns:
        level, *slopes = _logistic(np.stack(list(columns.values()), 1), is_new, level, how.newness_penalty)
        found = dict(zip(columns, slopes, strict=True))
        kept = {name: column for name, column in columns.items() if found[name] > 0}
        if len(kept) == len(columns):
            break
        columns, found, level = kept, {}, float(np.log(share / (1 - share)))
    longest = float(times.max()) if "slope" in found else math.inf
    return Newness(level, found.get("slope", 0.0), soon, least, longest, found.get("pull", 0.0), usual)


def _logistic(columns: np.ndarray, is_new: np.ndarray, level: float, penalty: float) -> list[float]:
    """Level and slopes of a logistic regression on columns [N, k], penalised in the squared slopes."""
    given, target = torch.from_numpy(columns), torch.from_numpy(is_new.astype(np.float64))
    weights = torch.tensor([level] + [0.0] * columns.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        odds = weights[0] + (given * weights[1:]).sum(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, target) + penalty * (weights[1:] ** 2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return [float(one) for one in weights.tolist()]
