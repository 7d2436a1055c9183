"""How often the next item is one that nobody had touched: the more, the longer ago the log ended."""

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
    """The share of next items that are new, logistic in the log of the time that has passed.

    It grows as far as the log's past has shown: after a gap of many spans all items would be new by the same slope.

    Args:
        level: log odds after the whole span of the log.
        slope: of log odds over the log of time; not negative.
        soon: what is added to the time, in spans of the log.
        least: least share, of new ones and of others.
        longest: the longest time that was seen, in spans of the log; after more, the share is as after this one.
    """

    level: float
    slope: float = 0.0
    soon: float = NewcomersSettings.newness_soon
    least: float = NewcomersSettings.newness_least
    longest: float = math.inf

    def share(self, passed: np.ndarray) -> np.ndarray:
        """float64 [c], after so much time [c], in spans of the log."""
        odds = self.level + self.slope * np.log(np.minimum(passed, self.longest) + self.soon)
        return np.clip(1 / (1 + np.exp(-odds)), self.least, 1 - self.least)


def passed(events: EventLog, n_past: int, queries: Queries) -> np.ndarray:
    """How long after the latest known event the queries are asked, float64 [c], in spans of the first `n_past` events;
    0 where no time is known."""
    if not n_past:
        return np.zeros(len(queries))
    span = float(events.times[n_past - 1] - events.times[0])
    latest = events.times[np.maximum(queries.known - 1, 0)]
    return np.nan_to_num(np.maximum(queries.asked - latest, 0.0)) / (span or 1.0)


def learned_newness(events: EventLog, cases: Cases, is_new: np.ndarray, how: NewcomersSettings) -> Newness:
    """Fitted to the rolling newcomers' cases [N], of which `is_new` [N] had a new target.

    Args:
        events: the log up to T.
        cases: of rolling newcomers.
        is_new: bool [N].
        how: the settings; `newness_...` are read.
    """
    least, soon = how.newness_least, how.newness_soon
    if not len(cases):
        return Newness(float(np.log(least)), 0.0, soon, least)
    target, times = torch.from_numpy(is_new.astype(np.float64)), passed(events, len(events), cases.queries)
    time = torch.from_numpy(np.log(times + soon))
    share = float(np.clip(is_new.mean(), least, 1 - least))
    constant = Newness(float(np.log(share / (1 - share))), 0.0, soon, least)
    if is_new.all() or not is_new.any() or not float(time.std(correction=0)):
        return constant
    both = torch.tensor([constant.level, constant.slope], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([both], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        odds = both[0] + both[1] * time
        loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, target) + how.newness_penalty * both[1] ** 2
        loss.backward()
        return loss

    optimiser.step(closure)
    level, slope = both.tolist()
    return Newness(level, slope, soon, least, float(times.max())) if slope > 0 else constant
