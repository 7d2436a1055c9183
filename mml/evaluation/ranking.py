"""Ranks of the targets among all items, in blocks of cases and items: never a [users, n_items] matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mml import distributed
from mml.evaluation.scorer import ItemScores, Scorer, of_rows

_TIE = 1e-6  # relative; scores of equal vectors differ by rounding only
_SCALE_ITEMS = 8192  # so many items tell how large a case's scores are
_CELLS = 2**22  # scores held at a time
_WHOLE_CELLS = 2**26  # by scorers that make all items' scores at once, 256 MB an array


class CaseHistories(Protocol):
    """int64 [c, H] of a slice of the cases: item ids that are no candidates, 0 pads. An array [N, H] is one."""

    def __getitem__(self, cases: slice, /) -> np.ndarray: ...


@runtime_checkable
class CountedHistories(CaseHistories, Protocol):
    """Those that know how many different items each has."""

    @property
    def n_different(self) -> np.ndarray:
        """int64 [N]."""


@dataclass(frozen=True)
class Ranking:
    """Where the targets came out.

    Args:
        ranks: int64 [N], from 1.
        n_candidates: int64 [N], how many items were ranked.
        top_items: int64 [N, k], the best items, 0 where a case has fewer candidates; None if they were not asked for.
    """

    ranks: np.ndarray
    n_candidates: np.ndarray
    top_items: np.ndarray | None

    @classmethod
    def joined(cls, parts: Sequence[tuple[np.ndarray, Ranking]]) -> Ranking:
        """One ranking from those of its parts, each with its cases int64 [n]; each case is in one part."""
        order = np.argsort(np.concatenate([cases for cases, _ in parts]))
        tops = [ranking.top_items for _, ranking in parts if ranking.top_items is not None]
        return cls(
            np.concatenate([ranking.ranks for _, ranking in parts])[order],
            np.concatenate([ranking.n_candidates for _, ranking in parts])[order],
            np.concatenate(tops)[order] if tops else None,
        )


@torch.no_grad()
def rank_targets(
    scorer: Scorer,
    targets: np.ndarray,
    history: CaseHistories | None,
    seed: int,
    block: int,
    topk: int = 0,
    cells: int = _CELLS,
    draws: Tensor | None = None,
    shared: bool = False,
) -> Ranking:
    """Rank each case's target among all items.

    The place among items of equal score is drawn at random from a generator of `seed`, the same draw for every
    scorer, so that ties are neither a gain nor a loss: a scorer that scores all items alike comes out at chance. A
    score of -inf is below all others and like any other -inf; where the target's is NaN or inf there is no order, and
    it comes last.

    Args:
        scorer: of N cases.
        targets: int64 [N].
        history: what are no candidates, or None.
        seed: of the draws.
        block: cases scored at a time, at most.
        topk: how many best items to return.
        cells: scores held at a time, `block` times a block of items.
        draws: float64 [N], taken instead of the seed's, for cases that are part of others.
        shared: whether the processes of a run share the cases; then all must call this with the same cases.
    """
    draws = tie_draws(len(targets), seed) if draws is None else draws
    block = cases_at_a_time(scorer.n_items, block)
    item_block = max(cells // block, 1)
    counted = torch.from_numpy(history.n_different) if isinstance(history, CountedHistories) else None
    ranks = np.zeros(len(targets), dtype=np.int64)
    candidates, tops = np.zeros_like(ranks), np.zeros((len(targets), topk), dtype=np.int64)
    blocks = range(0, len(targets), block)
    for begin in blocks[distributed.rank() :: distributed.size()] if shared else blocks:
        cases = slice(begin, min(begin + block, len(targets)))
        n_items, item_scores = _item_scores(scorer, cases, item_block)
        target = torch.from_numpy(targets[cases])
        known = target.new_zeros(len(target), 1) if history is None else torch.from_numpy(history[cases])
        n_different = _n_different(known) if counted is None else counted[cases]
        n_candidates = n_items - 1 - n_different
        ranking = _rank_slice(item_scores, n_items, n_candidates - 1, target, known, item_block, topk)
        own = 1 + ranking.above + (draws[cases] * (ranking.ties + 1)).long()
        ranks[cases] = own.numpy()
        candidates[cases] = n_candidates.numpy()
        if topk:
            best = _with_target(ranking.others, target, own)[:, :topk].numpy()
            tops[cases, : best.shape[1]] = best
    if shared:
        ranks, candidates, tops = map(distributed.add_array, (ranks, candidates, tops))
    return Ranking(ranks, candidates, tops if topk else None)


def cases_at_a_time(n_items: int, most: int) -> int:
    """How many cases are scored at a time: of a large catalogue fewer, as some scorers score all items at once."""
    return max(min(most, _WHOLE_CELLS // n_items), 1)


def tie_draws(n: int, seed: int) -> Tensor:
    """What decides the cases' places among equals, float64 [n] in [0, 1)."""
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def above_and_ties(scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """How many of the scores [c, n] are above the target's, and how many equal to it; -inf is no candidate.

    Args:
        scores: all of them.
        target: int64 [c], the targets' columns.
    """
    own = scores.gather(1, target[:, None])
    finite = scores > -torch.inf
    size = scores.masked_fill(~finite, 0.0).abs().sum(1, keepdim=True) / finite.sum(1, keepdim=True)
    margin = _TIE * (own.abs() + size)
    above = (scores > own + margin).sum(1)
    ties = (scores >= own - margin).sum(1) - above - 1
    return _last_unless_finite(own + margin, above, ties, (scores != -torch.inf).sum(1) - 1)


def _last_unless_finite(upper: Tensor, above: Tensor, ties: Tensor, n_others: Tensor) -> tuple[Tensor, Tensor]:
    """`above` and `ties`, but all others above where the scores [c, 1] have no order, as those of a diverged model."""
    lost = ~upper[:, 0].isfinite()
    return torch.where(lost, n_others, above), torch.where(lost, 0, ties)


def _item_scores(scorer: Scorer, cases: slice, item_block: int) -> tuple[int, ItemScores]:
    """Number of items, and the scores of the cases: computed anew at each call, or once if they fit one block."""
    by_block = scorer.of_cases(cases)
    if scorer.n_items > item_block:
        return scorer.n_items, by_block
    return scorer.n_items, of_rows(by_block(slice(0, scorer.n_items)))


@dataclass(frozen=True)
class _Counts:
    """Of c cases, on the CPU: items above the target [c], others equal to it [c], the best others [c, topk].

    Of a small catalogue there are fewer columns; where a case has fewer others, they are 0.
    """

    above: Tensor
    ties: Tensor
    others: Tensor


def _rank_slice(
    item_scores: ItemScores,
    n_items: int,
    n_others: Tensor,
    target: Tensor,
    known: Tensor,
    item_block: int,
    topk: int,
) -> _Counts:
    own = _of_targets(item_scores, target)
    device = own.device
    target, excluded = target.to(device), torch.cat([known, target[:, None]], 1).to(device)
    lowest = own == -torch.inf
    level_of_own = own.masked_fill(lowest, 0.0)
    margin = _TIE * (level_of_own.abs() + _size(item_scores(slice(1, 1 + _SCALE_ITEMS))))
    above = torch.zeros_like(target)
    level = torch.zeros_like(target)  # above or equal
    best = _Best(target.new_zeros(len(target), 0), own[:, :0], topk)
    is_whole = n_items <= item_block and int(excluded.max()) < n_items  # then there is nothing to look for
    for begin in range(0, n_items, item_block):
        items = slice(begin, min(begin + item_block, n_items))
        scores = item_scores(items)
        if is_whole:
            scores.scatter_(1, excluded, -torch.inf)
        else:
            inside = (excluded >= items.start) & (excluded < items.stop)
            rows, columns = inside.nonzero(as_tuple=True)
            scores[rows, excluded[rows, columns] - items.start] = -torch.inf
        if begin == 0:
            scores[:, 0] = -torch.inf
        above += (scores > own + margin).sum(1)
        level += (scores >= own - margin).sum(1)
        best.add(scores, items.start)
    n_others = n_others.to(device)
    ties = torch.where(lowest[:, 0], n_others - above, level - above)  # what is no candidate has -inf, too
    above, ties = _last_unless_finite(level_of_own + margin, above, ties, n_others)
    return _Counts(above.cpu(), ties.cpu(), best.candidates.cpu())


def _size(scores: Tensor) -> Tensor:
    """How large the scores [c, n] are, [c, 1]: their mean without sign; -inf, which is below all, does not count."""
    sizes, lowest = scores.abs(), scores == -torch.inf
    if not bool(lowest.any()):
        return sizes.mean(1, keepdim=True)
    return sizes.masked_fill(lowest, 0.0).sum(1, keepdim=True) / (~lowest).sum(1, keepdim=True).clamp(min=1)


def _of_targets(item_scores: ItemScores, target: Tensor, block: int = 256) -> Tensor:
    """The targets' own scores [c, 1]."""
    own = []
    for rows in torch.arange(len(target)).split(block):
        scores = item_scores(target[rows])
        own.append(scores[rows.to(scores.device), torch.arange(len(rows), device=scores.device)])
    return torch.cat(own)[:, None]


def _with_target(others: Tensor, target: Tensor, rank: Tensor) -> Tensor:
    """The best others [c, k] and each case's target [c] at its rank [c], from 1, as far as that is within: [c, k + 1].

    So lists tell no more of the target than its rank does: among equals it is not the first.
    """
    place = torch.arange(others.shape[1] + 1)[None]
    row = torch.arange(len(others))[:, None]
    from_others = others[row, (place - (place >= rank[:, None]).long()).clamp(max=others.shape[1] - 1)]
    return torch.where(place == rank[:, None] - 1, target[:, None].cpu(), from_others)


class _Best:
    """The running best `k` items of c cases; it starts with some [c, m], of scores [c, m]."""

    def __init__(self, items: Tensor, scores: Tensor, k: int) -> None:
        self._items, self._scores, self._k = items, scores, k

    @property
    def candidates(self) -> Tensor:
        """The best items, int64 [c, up to k]; 0 for what is no candidate."""
        return self._items.masked_fill(self._scores == -torch.inf, 0)

    def add(self, scores: Tensor, first: int) -> None:
        """Take the items first.. of scores [c, n] into account; those that are no candidates have -inf."""
        if not self._k:
            return
        value, place = scores.topk(min(self._k, scores.shape[1]), dim=1)
        value, items = torch.cat([self._scores, value], 1), torch.cat([self._items, place + first], 1)
        self._scores, place = value.topk(min(self._k, value.shape[1]), dim=1)
        self._items = items.gather(1, place)


def _n_different(known: Tensor) -> Tensor:
    """Number of different ids but 0 in each row: int64 [c, H] -> [c]."""
    ordered = known.sort(1).values
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return (first & (ordered != 0)).sum(1)
