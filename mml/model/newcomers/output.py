"""What the learners of newcomers say about tasks, as fusion wants it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mml.data.events import EventLog
from mml.data.rolling import Queries
from mml.data.tasks import TaskSet
from mml.evaluation.scorer import ItemScores, of_rows
from mml.model.log.sums import standardised
from mml.model.newcomers.learner import Newcomers


class NewcomersOutput:
    """What one of the learners, or their product, says about N cases.

    Args:
        model: the learners.
        tasks: N cases.
        n_items: score the items below this one.
        warm: bool [n_items], over which scores are standardised.
        known: int64 [N], the events before this number are known (`known_at` finds it of times).
        only: one of `LEARNERS`; the product if None.
        users: int64 [N], the users' arrival ranks, whose own events are no neighbour's; None for strangers.
    """

    states = None
    known = None

    def __init__(
        self,
        model: Newcomers,
        tasks: TaskSet,
        n_items: int,
        warm: Tensor,
        known: np.ndarray,
        only: str | None = None,
        users: np.ndarray | None = None,
    ) -> None:
        self._model, self._tasks, self._n_items, self._only = model, tasks, n_items, only
        self._warm, self._known = warm[:n_items], known
        self._users = np.full(len(tasks), -1) if users is None else users

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def n_items(self) -> int:
        """Number of items that are scored, the padding item included."""
        return self._n_items

    def of_cases(self, cases: slice | Tensor) -> ItemScores:
        """Items -> scores [c, n]."""
        return of_rows(self._scores(cases))

    def standardised(self, cases: slice | Tensor) -> ItemScores:
        """Items -> scores [c, n], per case of mean 0 and deviation 1 over the warm items."""
        scores = self._scores(cases)
        return of_rows(standardised(scores, torch.ones_like(self._warm), self._warm))

    def _scores(self, cases: slice | Tensor) -> Tensor:
        rows = cases.cpu().numpy() if isinstance(cases, Tensor) else cases
        queries = Queries(self._tasks.inputs(rows), self._known[rows], self._users[rows])
        return self._model.scores(queries, self._only)[:, : self._n_items]


def known_at(events: EventLog, times: np.ndarray | None, n: int) -> np.ndarray:
    """How many events came before each of `times` [n], int64 [n]: none of the same time; all of them if None."""
    if times is None:
        return np.full(n, len(events))
    return np.searchsorted(events.times, times, side="left")
