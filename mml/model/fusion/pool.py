"""`fusion_method: pool`: a logarithmic pool of shares that are known event by event and of all other learners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mml.evaluation.scorer import ItemScores, of_rows
from mml.evaluation.significance import per_case_ndcg, per_user
from mml.evaluation.validation import Validation
from mml.model.fusion.mean import FixedWeights
from mml.model.fusion.slot import FUSIONS, FusedScorer, FusionFit, FusionShape, State, TrainedFusion
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import common_mean
from mml.model.learner.outputs import ShareOutput
from mml.settings import read, setting

_SMALLEST = 1e-6  # deviation of log shares
_BLOCK = 256  # cases at a time


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
    fusion_others_tried: tuple[float, ...] = setting(
        [0.15, 0.45, 0.6, 0.8],
        "fusion_method pool: others; the best is taken where the validation users' NDCG@10 is higher than by "
        "fusion_others, by more than a standard error over users. [] = none.",
        low=0.0,
        high=1.0,
    )
    fusion_others_online: float = setting(
        0.15,
        "fusion_method pool: online, exponent of what the other learners say of a user more than of users at large.",
        low=0.0,
    )
    fusion_untouched: float = setting(
        0.6,
        "fusion_method pool: exponent of the other learners for an item that nobody has touched yet, where that is "
        "more than newcomers gives it: the larger, the more new items are listed.",
        low=0.0,
    )


@dataclass(frozen=True)
class Pool:
    """A logarithmic pool (Genest & Zidek, Combining Probability Distributions, 1986).

    With p the shares of the learner that has some, m and s the mean and deviation of their logs over the warm items,
    and z the mean of the other learners' standardised scores, an item has the score

        (1 - b) (log p - m) / s + b z + g    if it is warm, known when the others were trained
        (log p - m) / s + a (z - u) + g      the same online, u the mean of z over users at large
        (log p - m) / s                      if somebody has touched it since, or no other learner knows it
        max((log p - m) / s, c z + g)        if nobody has touched it: of it p and the others know the content only

    g is such that the warm items together keep the share that p gives them: the others were trained before new items
    came and say nothing of how likely these are. Online p knows what is popular by now, the others what was when they
    were trained: only what they say of this user more than of all counts. Where no learner has shares it is the mean.

    Args:
        names: of the learners.
        others: b.
        untouched: c.
        online: a.
        usual: u of the first items, all warm ones among them, float32 [n]; None where there were no users to tell it,
            then online is as frozen.
    """

    names: tuple[str, ...]
    others: float
    untouched: float
    online: float = 0.0
    usual: Tensor | None = None
    needs_context: ClassVar[bool] = False

    def scorer(self, scores: StandardisedScores, context: Tensor) -> FusedScorer:
        found = scores.shares
        if found is None or len(self.names) == 1:
            return FixedWeights(dict.fromkeys(self.names, 1.0 / len(self.names))).scorer(scores, context)
        if self.usual is not None and found[1].is_online:
            return PooledScorer(scores, *found, self.online, self.untouched, self.usual)
        return PooledScorer(scores, *found, self.others, self.untouched)

    def state(self) -> State:
        return {name: getattr(self, name) for name in ("others", "untouched", "online", "usual")}


class PooledScorer:
    """The pool's scores of N cases.

    Args:
        scores: of all learners.
        anchor: the name of the one that has shares.
        shares: what it says.
        others: exponent of the others.
        untouched: the same for items that nobody has touched.
        usual: what is taken from the others' mean, float32 [n]; if given, the exponent of the shares is 1.
    """

    def __init__(
        self,
        scores: StandardisedScores,
        anchor: str,
        shares: ShareOutput,
        others: float,
        untouched: float,
        usual: Tensor | None = None,
    ) -> None:
        self._scores, self._shares, self.others, self._untouched = scores, shares, others, untouched
        self._anchor = scores.names.index(anchor)
        self._usual = usual
        own = 1 - others if usual is None else 1.0
        self._mean = mean_of_others(scores, anchor)
        self._weights = others * self._mean
        self._weights[self._anchor] = own

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
        exponent, others, own = self._parts(cases)
        return of_rows(own + exponent * others)

    def contributions(self, cases: slice, items: Tensor, places: Tensor) -> Tensor:
        """What each learner contributed to the scores of items [n] of the cases `places` [n], float32 [M, n]."""
        exponent, others, own = self._parts(cases)
        shares = self._mean[:, None] * self._scores.known(items)
        shares = shares / shares.sum(0).clamp(min=_SMALLEST)
        z = self._scores.of_cases(cases)(items)[:, places, torch.arange(len(items), device=items.device)]
        above = others[places, items] - (shares * z).sum(0)  # less what is usual, which is the mean's, not a learner's
        found = exponent[places, items] * shares * (z + above)
        found[self._anchor] = own[places, items]
        return found

    def _parts(self, cases: slice) -> tuple[Tensor, Tensor, Tensor]:
        """The others' exponent, their mean less what is usual, and what the shares add to the scores; [c, n_items]."""
        logs, exponent, columns = self._shares.log_shares(cases).to(self._scores.device), self._exponent, self._warm
        whole = common_mean(self._scores, cases, self._mean)
        others = whole if self._usual is None else whole - self._usual_of_warm
        deviation = logs[:, columns].std(1, correction=0, keepdim=True).clamp(min=_SMALLEST)
        own = (logs - logs[:, columns].mean(1, keepdim=True)) / deviation
        kept = own if self._usual is not None else (1 - exponent) * own
        pooled = kept + exponent * others
        of_own, of_pool = ((deviation * one[:, columns]).logsumexp(1, keepdim=True) for one in (own, pooled))
        gain = (of_own - of_pool) / deviation
        kept[:, columns] += gain
        untouched = self._shares.untouched(cases).to(logs.device) & self._is_known
        by_others = untouched & (self._untouched * whole + gain > own)
        exponent = torch.where(by_others, self._untouched, exponent)
        return exponent, torch.where(by_others, whole, others), torch.where(by_others, gain, kept)

    @cached_property
    def _usual_of_warm(self) -> Tensor:
        """[n_items], what is usual of the items that have an exponent, else 0."""
        assert self._usual is not None
        usual = torch.zeros(self.n_items, device=self._scores.device)
        n = min(len(usual), len(self._usual))
        usual[:n] = self._usual[:n].to(usual.device)
        return torch.where(self._exponent > 0, usual, 0.0)

    @cached_property
    def _is_known(self) -> Tensor:
        """bool [n_items], whether one of the others knows an item."""
        return self._mean @ self._scores.known() > 0

    @cached_property
    def _exponent(self) -> Tensor:
        """[n_items], of the others, but for untouched items that they are allowed to tell."""
        return self.others * (self._shares.warm.to(self._is_known.device) & self._is_known)

    @cached_property
    def _warm(self) -> slice | Tensor:
        """The warm items; as a slice if they follow each other, so that they are not copied."""
        places = self._shares.warm.to(self._scores.device).nonzero()[:, 0]
        first, last = (int(places[0]), int(places[-1])) if len(places) else (0, -1)
        return slice(first, last + 1) if last - first + 1 == len(places) else places


def mean_of_others(scores: StandardisedScores, anchor: str) -> Tensor:
    """[M], equal weights of all learners but one."""
    is_other = torch.tensor([float(name != anchor) for name in scores.names])
    return (is_other / is_other.sum()).to(scores.device)


def usual_scores(scores: StandardisedScores) -> Tensor | None:
    """u [n_items], the mean over cases of the other learners' mean; None without cases, or if no learner has shares."""
    if scores.shares is None or len(scores.names) == 1 or not len(scores):
        return None
    weights, total = mean_of_others(scores, scores.shares[0]), torch.zeros(scores.n_items, device=scores.device)
    for start in range(0, len(scores), _BLOCK):
        total += common_mean(scores, slice(start, min(start + _BLOCK, len(scores))), weights).sum(0)
    return total / len(scores)


def clearly_best(usual: Pool, others: Sequence[Pool], scores: StandardisedScores, validation: Validation) -> Pool:
    """The best of some pools if it is better than the usual one by more than a standard error over users, else that
    one: validation users are few, and learners were stopped on them.

    Args:
        usual: what is taken if nothing speaks for another one.
        others: what may be taken.
        scores: of all learners for the validation tasks.
        validation: ranks them.
    """
    users, context = validation.tasks.users, torch.zeros(len(scores), 0)

    def gains(pool: Pool) -> np.ndarray:
        return per_case_ndcg(validation.rank(pool.scorer(scores, context)).ranks)

    before = gains(usual)
    best, most = usual, 0.0
    for pool in others:
        more, n_cases = per_user(gains(pool) - before, users)
        mean = more.sum() / len(users)
        error = np.sqrt(((more - mean * n_cases) ** 2).sum()) / len(users)
        if mean > max(error, most):
            best, most = pool, mean
    return best


class PoolEntry:
    """Weighs the newcomers' shares against the mean of all others; one number to learn, where the log tells it."""

    name = "pool"
    meaning = "a pool of what newcomers take and of all other learners"
    settings = PoolSettings
    is_compared = False

    def fit(self, shape: FusionShape, data: FusionFit | None, values: Mapping[str, object]) -> TrainedFusion:
        own, names = read(PoolSettings, values), tuple(shape.names)
        usual = Pool(names, own.fusion_others, own.fusion_untouched, own.fusion_others_online)
        if data is None or data.scores.shares is None:
            return usual
        usual = replace(usual, usual=usual_scores(data.scores))
        others = [replace(usual, others=exponent) for exponent in own.fusion_others_tried]
        return clearly_best(usual, others, data.scores, data.validation)

    def restored(self, shape: FusionShape, state: State, values: Mapping[str, object]) -> TrainedFusion:
        others, untouched, online = (float(state[key]) for key in ("others", "untouched", "online"))
        return Pool(tuple(shape.names), others, untouched, online, state["usual"])


FUSIONS.add(PoolEntry())
