"""`fusion_method: pool`: a logarithmic pool of shares that are known event by event and of all other learners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mml.evaluation.scorer import ItemScores, of_rows
from mml.model.fusion.mean import FixedWeights
from mml.model.fusion.slot import FUSIONS, FusedScorer, FusionFit, FusionShape, State, TrainedFusion
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import weighted_mean
from mml.model.learner.outputs import ShareOutput
from mml.settings import read, setting

_SMALLEST = 1e-6  # deviation of log shares


@dataclass(frozen=True)
class PoolSettings:
    """How much the other learners say."""

    stage: ClassVar[str] = "fusion"
    section: ClassVar[str] = "Fusion"

    fusion_others: float = setting(
        0.3,
        "fusion_method pool: exponent of the other learners beside newcomers, which has the rest of 1.",
        low=0.0,
        high=1.0,
    )


@dataclass(frozen=True)
class Pool:
    """A logarithmic pool (Genest & Zidek, Combining Probability Distributions, 1986).

    With p the shares of the learner that has some, s their logs' deviation over the warm items and z the mean of the
    other learners' standardised scores, an item has the score (1 - b) log p + b s z. Where p knows events that came
    after the others' training (`online`), these say nothing of how likely new items are: warm items then have this
    score + c, c such that together they have the share that p gives them, and new items have log p. Where no learner
    has shares it is the mean of all.

    Args:
        names: of the learners.
        others: b.
    """

    names: tuple[str, ...]
    others: float

    def scorer(self, scores: StandardisedScores, context: Tensor) -> FusedScorer:
        found = scores.shares
        if found is None or len(self.names) == 1:
            return FixedWeights(dict.fromkeys(self.names, 1.0 / len(self.names))).scorer(scores, context)
        return PooledScorer(scores, *found, self.others)

    def state(self) -> State:
        return {"others": self.others}


class PooledScorer:
    """The pool's scores of N cases.

    Args:
        scores: of all learners.
        anchor: the name of the one that has shares.
        shares: what it says.
        others: exponent of the others.
    """

    def __init__(self, scores: StandardisedScores, anchor: str, shares: ShareOutput, others: float) -> None:
        self._scores, self._shares, self._others = scores, shares, others
        is_other = torch.tensor([float(name != anchor) for name in scores.names])
        self._mean = (is_other / is_other.sum()).to(scores.device)
        self._weights = torch.where(is_other > 0, others / is_other.sum(), torch.tensor(1 - others)).to(scores.device)

    def __len__(self) -> int:
        return len(self._scores)

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""
        return self._scores.n_items

    def weights(self, cases: slice) -> Tensor:
        """[c, M], the learners' weights among the warm items."""
        return self._weights.expand(len(range(*cases.indices(len(self)))), -1)

    def of_cases(self, cases: slice) -> ItemScores:
        """Items -> scores [c, n]."""
        logs = self._shares.log_shares(cases).to(self._scores.device)
        warm = self._shares.warm.to(logs.device)
        z = self._scores(cases)
        mean = weighted_mean(z, self._mean.expand(z.shape[1], -1), self._scores.known())
        deviation = logs[:, warm].std(1, correction=0, keepdim=True).clamp(min=_SMALLEST)
        pooled = (1 - self._others) * logs + self._others * deviation * mean
        if not self._shares.is_newer:
            return of_rows(pooled)
        shift = logs[:, warm].logsumexp(1, keepdim=True) - pooled[:, warm].logsumexp(1, keepdim=True)
        return of_rows(torch.where(warm, pooled + shift, logs))


class PoolEntry:
    """Weighs the newcomers' shares against the mean of all others; nothing to learn."""

    name = "pool"
    settings = PoolSettings
    is_compared = False

    def fit(self, shape: FusionShape, data: FusionFit | None, values: Mapping[str, Any]) -> TrainedFusion:
        return Pool(tuple(shape.names), read(PoolSettings, values).fusion_others)

    def restored(self, shape: FusionShape, state: State, values: Mapping[str, Any]) -> TrainedFusion:
        return Pool(tuple(shape.names), float(state["others"]))


FUSIONS.add(PoolEntry())
