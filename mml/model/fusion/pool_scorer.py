"""Scores of a logarithmic pool: shares of the next item, and what all other learners say beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor

from mml.evaluation.scorer import ItemScores, of_rows
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import common_mean
from mml.model.learner.outputs import ShareOutput

_SMALLEST = 1e-6  # deviation of log shares
_BLOCK = 256  # cases at a time


class _PoolScorer(ABC):
    """What both protocols share.

    Args:
        scores: of all learners, for N cases.
        anchor: the name of the learner that has shares.
        shares: what it says.
        mean: the others' weights in their mean, [M], of sum 1, and 0 for the anchor.
        others: exponent of the others for warm items.
        own: the anchor's.
        launched: k, where it is known when items come.
    """

    def __init__(
        self,
        scores: StandardisedScores,
        anchor: str,
        shares: ShareOutput,
        mean: Tensor,
        others: float,
        own: float,
        launched: float,
    ) -> None:
        self._scores, self._shares, self._launched = scores, shares, launched
        self._anchor = scores.names.index(anchor)
        self._mean = mean.to(scores.device)
        self._weights = others * self._mean
        self._weights[self._anchor] = own
        self._is_known = self._mean @ scores.known() > 0  # by one of the others
        is_warm = shares.warm.to(self._is_known.device)
        self._exponent = others * (is_warm & self._is_known)
        self._warm = _columns(is_warm)

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

    @abstractmethod
    def _parts(self, cases: slice) -> tuple[Tensor, Tensor, Tensor]:
        """The others' exponent, their mean less what is usual, and what the shares add to the scores; [c, n_items]."""

    def _logs(self, cases: slice) -> Tensor:
        """[c, n_items], log shares."""
        return self._shares.log_shares(cases).to(self._scores.device)

    def _standardised(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        """Log shares [c, n_items] less their mean over the warm items, over their deviation [c, 1], and that."""
        warm = logs[:, self._warm]
        deviation = warm.std(1, correction=0, keepdim=True).clamp(min=_SMALLEST)
        return (logs - warm.mean(1, keepdim=True)) / deviation, deviation

    def _untouched(self, cases: slice) -> Tensor:
        """bool [c, n_items], items that nobody has touched, of which one of the others knows something."""
        return self._shares.untouched(cases).to(self._scores.device) & self._is_known

    def _ordered(
        self, exponent: Tensor, others: Tensor, own: Tensor, scale: Tensor, cases: slice
    ) -> tuple[Tensor, Tensor]:
        """The exponent and the scores [c, n_items], those of untouched items so that the others' word orders them, and
        their share as a whole stays; `scale` is what a log share is times to be a score, [c, 1]."""
        untouched = self._untouched(cases)
        moved = own + self._launched * scale * others
        before, after = ((one / scale).masked_fill(~untouched, -torch.inf).logsumexp(1, True) for one in (own, moved))
        gain = torch.where(after > -torch.inf, before - after, 0.0) * scale
        own = torch.where(untouched, own + gain, own)
        return torch.where(untouched, self._launched * scale, exponent), own


class FrozenPoolScorer(_PoolScorer):
    """Everything is known up to the same moment; see `Pool`.

    Args:
        scores: of all learners, for N cases.
        anchor: the name of the learner that has shares.
        shares: what it says.
        weights: of all learners, [M], of sum 1.
        untouched: c.
        temperature: t.
        launched: k.
    """

    def __init__(
        self,
        scores: StandardisedScores,
        anchor: str,
        shares: ShareOutput,
        weights: Tensor,
        untouched: float,
        temperature: float,
        launched: float = 0.0,
    ) -> None:
        own = float(weights[scores.names.index(anchor)])
        mean = mean_of_others(scores, anchor, weights)
        super().__init__(scores, anchor, shares, mean, 1 - own, own, launched)
        self._of_untouched, self._temperature = untouched, temperature

    def _parts(self, cases: slice) -> tuple[Tensor, Tensor, Tensor]:
        logs, others = self._logs(cases), common_mean(self._scores, cases, self._mean)
        kept = (1 - self._exponent) * self._standardised(logs)[0]
        pooled = (kept + self._exponent * others)[:, self._warm]
        # on the scale of the pooled scores, where the log share of a warm item is 1 / t of its score
        above = (pooled / self._temperature).logsumexp(1, keepdim=True) - logs[:, self._warm].logsumexp(1, keepdim=True)
        own = self._temperature * (logs + above)
        own[:, self._warm] = kept[:, self._warm]
        if self._shares.knows_launches:
            exponent, own = self._ordered(self._exponent, others, own, logs.new_full((1, 1), self._temperature), cases)
            return exponent, others, own
        fits = self._of_untouched * others
        by_others = self._untouched(cases) & (fits > own.clamp(min=0.0))
        exponent = torch.where(by_others, self._of_untouched, self._exponent)
        return exponent, others, torch.where(by_others, 0.0, own)


class OnlinePoolScorer(_PoolScorer):
    """The shares know what was done since the other learners were trained; see `Pool`.

    Args:
        scores: of all learners, for N cases.
        anchor: the name of the learner that has shares.
        shares: what it says.
        weights: of all learners, [M].
        others: a, in log shares for each deviation of the others' scores.
        untouched: c.
        usual: what is taken off them, float32 [n].
        launched: k.
    """

    def __init__(
        self,
        scores: StandardisedScores,
        anchor: str,
        shares: ShareOutput,
        weights: Tensor,
        others: float,
        untouched: float,
        usual: Tensor,
        launched: float = 0.0,
    ) -> None:
        super().__init__(scores, anchor, shares, mean_of_others(scores, anchor, weights), others, 1.0, launched)
        self._of_untouched, self._usual = untouched, usual

    def weights(self, cases: slice) -> Tensor:
        """[c, M], the learners' weights among the warm items, on the scale of the standardised shares."""
        found = super().weights(cases) / self._standardised(self._logs(cases))[1]
        found[:, self._anchor] = 1.0
        return found

    def _parts(self, cases: slice) -> tuple[Tensor, Tensor, Tensor]:
        own, deviation = self._standardised(self._logs(cases))
        whole = common_mean(self._scores, cases, self._mean)
        others = whole - self._usual_of_warm
        exponent = self._exponent / deviation
        pooled = own + exponent * others
        of_own, of_pool = ((deviation * one[:, self._warm]).logsumexp(1, keepdim=True) for one in (own, pooled))
        gain = (of_own - of_pool) / deviation
        kept = own.clone()
        kept[:, self._warm] += gain
        if self._shares.knows_launches:
            untouched = self._untouched(cases)
            exponent, kept = self._ordered(exponent, whole, kept, 1 / deviation, cases)
            return exponent, torch.where(untouched, whole, others), kept
        fits = self._of_untouched * whole
        by_others = self._untouched(cases) & (fits > 0) & (fits + gain > own)
        exponent = torch.where(by_others, self._of_untouched, exponent)
        return exponent, torch.where(by_others, whole, others), torch.where(by_others, gain, kept)

    @cached_property
    def _usual_of_warm(self) -> Tensor:
        """[n_items], what is usual of the items that have an exponent, else 0."""
        usual = torch.zeros(self.n_items, device=self._scores.device)
        n = min(len(usual), len(self._usual))
        usual[:n] = self._usual[:n].to(usual.device)
        return torch.where(self._exponent > 0, usual, 0.0)


def mean_of_others(scores: StandardisedScores, anchor: str, weights: Tensor) -> Tensor:
    """[M] of sum 1, the weights [M] of all learners but one in their mean; equal ones if all are 0."""
    is_other = torch.tensor([float(name != anchor) for name in scores.names])
    chosen = is_other * weights.to(is_other)
    chosen = chosen if bool(chosen.any()) else is_other
    return (chosen / chosen.sum()).to(scores.device)


def usual_scores(scores: StandardisedScores, of_all: Tensor) -> Tensor | None:
    """u [n_items], the mean over cases of the other learners' mean, by the weights of all learners [M].

    None without cases, or if no learner has shares.
    """
    if scores.shares is None or len(scores.names) == 1 or not len(scores):
        return None
    weights, total = mean_of_others(scores, scores.shares[0], of_all), torch.zeros(scores.n_items, device=scores.device)
    for start in range(0, len(scores), _BLOCK):
        total += common_mean(scores, slice(start, min(start + _BLOCK, len(scores))), weights).sum(0)
    return total / len(scores)


def _columns(mask: Tensor) -> slice | Tensor:
    """Where it is true; as a slice if the places follow each other, so that they are not copied."""
    places = mask.nonzero()[:, 0]
    first, last = (int(places[0]), int(places[-1])) if len(places) else (0, -1)
    return slice(first, last + 1) if last - first + 1 == len(places) else places
