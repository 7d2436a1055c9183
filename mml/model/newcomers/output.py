"""What the learners of newcomers say about tasks, as fusion wants it."""

from __future__ import annotations

import torch
from torch import Tensor

from mml.data.rolling import Queries
from mml.data.tasks import Moments, TaskSet
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
        at: when they are asked.
        only: one of `LEARNERS`; the product if None.
        is_online: whether events after T are known.
    """

    states = None
    known = None

    def __init__(
        self,
        model: Newcomers,
        tasks: TaskSet,
        n_items: int,
        warm: Tensor,
        at: Moments,
        only: str | None = None,
        is_online: bool = False,
    ) -> None:
        self._model, self._tasks, self._n_items, self._only = model, tasks, n_items, only
        self.warm, self.is_online, self._at = warm[:n_items], is_online, at
        self._last: tuple[slice, Tensor] | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def knows_launches(self) -> bool:
        """Whether it knows when untouched items come."""
        return self._model.chosen.ages is not None

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
        return of_rows(standardised(scores, torch.ones_like(self.warm), self.warm))

    def untouched(self, cases: slice | Tensor) -> Tensor:
        """bool [c, n_items], items that nobody had touched."""
        rows = cases.cpu().numpy() if isinstance(cases, Tensor) else cases
        return torch.from_numpy(self._model.untouched(self._at.known[rows])[:, : self._n_items])

    def log_shares(self, cases: slice | Tensor) -> Tensor:
        """[c, n_items], logs of the items' shares; not to be changed."""
        return self._scores(cases)

    def _scores(self, cases: slice | Tensor) -> Tensor:
        """[c, n_items], not to be changed. Those of the latest slice are kept: the pool asks for them twice."""
        if isinstance(cases, Tensor):
            return self._computed(cases)
        if self._last is None or self._last[0] != cases:
            self._last = cases, self._computed(cases)
        return self._last[1]

    def _computed(self, cases: slice | Tensor) -> Tensor:
        rows = cases.cpu().numpy() if isinstance(cases, Tensor) else cases
        tasks, at = self._tasks, self._at
        queries = Queries(tasks.inputs(rows), at.known[rows], at.users[rows], tasks.asked_at(rows), tasks.shots[rows])
        return self._model.scores(queries, self._only)[:, : self._n_items]
