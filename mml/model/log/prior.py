"""Popularity by position as a prior of what a model says."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import numpy as np
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.model.log.popularity import Shares, by_position
from mml.model.log.slot import LogMethod, LogModel
from mml.settings import setting

_LEAST = 1e-30  # of what is a logarithm taken


@dataclass(frozen=True)
class PriorMethod(LogMethod):
    """A method whose scores may be mixed with popularity by position."""

    prior: float = setting(
        0.0, "Weight of popularity by position beside the scores, which are brought to a sum of 1.", low=0.0
    )

    asked_with: ClassVar[tuple[str, ...]] = ()
    """Settings that act when the model is asked and not in its fit, which are fields of the fitted model as well."""

    @abstractmethod
    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        """Fit without the prior; arguments as for `fit`."""

    def fit(self, log: PackedSequences, n_items: int, times: np.ndarray | None = None) -> LogModel:
        model = self.fit_plain(log, n_items, times)
        return WithPrior(model, by_position(log, n_items), self.prior) if self.prior else model

    def in_fit(self) -> Self:
        """The same settings where they act in the fit; one and the same of all whose plain fits are alike."""
        usual = {one.name: one.default for one in fields(self) if one.name in self.asked_with}
        return replace(self, prior=0.0, searched={}, **usual)

    def asked(self, fitted: LogModel, shares: Shares) -> LogModel:
        """What `fit` gives, from the plain fit of settings that differ in what it is asked with at most.

        Args:
            fitted: that fit.
            shares: popularity by position in the log that it is of.
        """
        if self.asked_with:
            fitted = replace(fitted, **{name: getattr(self, name) for name in self.asked_with})  # type: ignore[type-var]
        return WithPrior(fitted, shares, self.prior) if self.prior else fitted


@dataclass(frozen=True)
class WithPrior:
    """score(i) = log( max(0, s_i) / sum_j max(0, s_j) + prior p_ni ), s a model's scores.

    p_ni is i's share of what the old users took after n interactions, as many as the user had.

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
        """bool [n_items], the items that the model can tell anything about."""
        return self.model.known

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None, shots: np.ndarray | None = None) -> Tensor:
        """[c, n_items] after histories [c, L] (see LogModel)."""
        mixed = self.model.scores(histories, own, shots).clamp(min=0).mul_(self.known)
        mixed /= mixed.sum(1, keepdim=True).clamp(min=1e-12)
        mixed += self.prior * self.shares.of((histories > 0).sum(1) if shots is None else shots).float()
        return mixed.clamp_(min=_LEAST).log_().masked_fill_(~self.known, 2 * math.log(_LEAST))
