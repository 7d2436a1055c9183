"""What a learner says about cases: scores of items, raw for a ranking and standardised for a sum."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol, runtime_checkable

from torch import Tensor

from mml.evaluation.scorer import ItemScores
from mml.model.learner.scores import with_offsets
from mml.model.learner.tables import Moments, moments_of


class Output(Protocol):
    """What one learner says about N cases, a Scorer; it may abstain from items."""

    def __len__(self) -> int:
        """Number of cases."""

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""

    @property
    def known(self) -> Tensor | None:
        """bool [n_items], the items that it does not abstain from; None for all."""

    @property
    def states(self) -> Tensor | None:
        """[N, d], the users' states, if it has some; fusion reads them."""

    def of_cases(self, cases: slice | Tensor) -> ItemScores:
        """Items -> scores [c, n]; items that it abstains from have any."""

    def standardised(self, cases: slice | Tensor) -> ItemScores:
        """Items -> scores [c, n], per case of mean 0 and deviation 1 over the warm items it knows; 0 where unknown."""


@runtime_checkable
class ShareOutput(Output, Protocol):
    """An Output whose scores are probabilities of the next item, so that they tell how likely a new one is."""

    @property
    def warm(self) -> Tensor:
        """bool [n_items], items that somebody had touched when the learners were trained."""

    @property
    def is_online(self) -> bool:
        """Whether it knows of events that came after the learners were trained."""

    @property
    def knows_launches(self) -> bool:
        """Whether it knows when untouched items come, so that others only order those that are there."""

    def untouched(self, cases: slice | Tensor) -> Tensor:
        """bool [c, n_items], items of which it knows no event."""

    def log_shares(self, cases: slice | Tensor) -> Tensor:
        """[c, n_items], logs of the items' shares."""


class StateOutput:
    """States of N cases and vectors of all items: score(case, item) = h_case . w_item + b_item.

    Mean and deviation over the warm items follow from their mean vector and covariance, so no score is stored. Cold
    items are left out of both, so that scores do not depend on how many of them the catalogue has.

    Args:
        states: [N, d].
        table: [n_items, d + R], the vectors and R columns b (see `with_offsets`).
        n_warm_items: items up to this id are warm; None for all.
        known: bool [n_items], the items that it does not abstain from; None for all.
        columns: int64 [N], which of the R offsets each case has; the first one if None.
        moments: of the warm items' vectors, if they are known already.
    """

    def __init__(
        self,
        states: Tensor,
        table: Tensor,
        n_warm_items: int | None = None,
        known: Tensor | None = None,
        columns: Tensor | None = None,
        moments: Moments | None = None,
    ) -> None:
        self.states, self.table, self.columns, self.known = states, table, columns, known
        self._n_warm_items = len(table) - 1 if n_warm_items is None else n_warm_items
        self._given_moments = moments

    def __len__(self) -> int:
        return len(self.states)

    @property
    def n_items(self) -> int:
        return len(self.table)

    def of_cases(self, cases: slice | Tensor) -> ItemScores:
        states = self._with_offsets(cases)
        return lambda items: states @ self.table[items].T

    def standardised(self, cases: slice | Tensor) -> ItemScores:
        h = self._with_offsets(cases)
        mean_vector, covariance = self._moments
        deviation = (h @ covariance * h).sum(1, keepdim=True).clamp(min=1e-12).sqrt()
        mean = (h @ mean_vector)[:, None]

        def scores(items: slice | Tensor) -> Tensor:
            z = (h @ self.table[items].T - mean) / deviation
            return z if self.known is None else z * self.known[items]

        return scores

    @cached_property
    def _moments(self) -> Moments:
        """Mean [d + R] and covariance [d + R, d + R] of the warm items' vectors."""
        return moments_of(self.table, self._n_warm_items) if self._given_moments is None else self._given_moments

    def _with_offsets(self, cases: slice | Tensor) -> Tensor:
        return with_offsets(self.states[cases], self.table, None if self.columns is None else self.columns[cases])
