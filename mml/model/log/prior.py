"""Popularity by position as a prior of what a model says."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.model.log.popularity import Shares, by_position
from mml.model.log.slot import LogMethod, LogModel, behind
from mml.settings import setting


@dataclass(frozen=True)
class PriorMethod(LogMethod):
    """A method whose scores may be mixed with popularity by position."""

    prior: float = setting(
        0.0, "Weight of popularity by position beside the scores, which are brought to a sum of 1.", low=0.0
    )

    @abstractmethod
    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        """Fit without the prior; arguments as for `fit`."""

    def fit(self, log: PackedSequences, n_items: int, times: np.ndarray | None = None) -> LogModel:
        model = self.fit_plain(log, n_items, times)
        return WithPrior(model, by_position(log, n_items), self.prior) if self.prior else model


@dataclass(frozen=True)
class WithPrior:
    """score(i) = log( max(0, s_i) / sum_j max(0, s_j) + prior p_ni ), s a model's scores.

    p_ni is i's share of what the old users took after n interactions, as many as the history has.

    Args:
        model: whose scores.
        shares: p.
        prior: its weight.
    """

    model: LogModel
    shares: Shares
    prior: float

    @property
    def known(self) -> Tensor:
        """bool [n_items], the items of the log."""
        return self.shares.known

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None) -> Tensor:
        """[c, n_items] after histories [c, L] (see LogModel)."""
        said = self.model.scores(histories, own).clamp(min=0).double() * self.model.known
        said = said / said.sum(1, keepdim=True).clamp(min=1e-12)
        mixed = said + self.prior * self.shares.of((histories > 0).sum(1))
        return behind(mixed.clamp(min=1e-30).log().float(), self.known)
