"""Ranks of the targets among all items, in blocks: never a [users, n_items] matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

_TIE = 1e-6  # relative; scores of equal vectors differ by rounding only


class Scorer(Protocol):
    """Scores of cases: anything that can score a slice of the cases against all items."""

    def __len__(self) -> int:
        """Number of cases."""

    def scores(self, cases: slice) -> Tensor:
        """[c, n_items]; column 0 is the padding item's and is ignored."""


@dataclass(frozen=True)
class StateScorer:
    """score(case, item) = h_case . w_item.

    Args:
        states: [N, d].
        table: [n_items, d].
    """

    states: Tensor
    table: Tensor

    def __len__(self) -> int:
        return len(self.states)

    def scores(self, cases: slice) -> Tensor:
        return self.states[cases] @ self.table.T


@dataclass(frozen=True)
class Ranking:
    """Where the targets came out.

    Args:
        ranks: int64 [N], from 1.
        n_candidates: int64 [N], how many items were ranked.
        top_items: int64 [N, k], the best items, or None if they were not asked for.
    """

    ranks: np.ndarray
    n_candidates: np.ndarray
    top_items: np.ndarray | None


@torch.no_grad()
def rank_targets(
    scorer: Scorer,
    targets: np.ndarray,
    history: np.ndarray | None,
    seed: int,
    block: int,
    topk: int = 0,
) -> Ranking:
    """Rank each case's target among all items.

    The place among items of equal score is drawn at random from a generator of `seed`, the same draw for every
    scorer, so that ties are neither a gain nor a loss: a scorer that scores all items alike comes out at chance.

    Args:
        scorer: N cases.
        targets: int64 [N].
        history: int64 [N, H], item ids that are no candidates (0 pads), or None.
        seed: of the draws.
        block: cases scored at a time.
        topk: how many best items to return.
    """
    draws = torch.rand(len(targets), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ranks, candidates, tops = [], [], []
    for begin in range(0, len(targets), block):
        cases = slice(begin, begin + block)
        scores = scorer.scores(cases).clone()
        rows = torch.arange(len(scores), device=scores.device)
        target = torch.from_numpy(targets[cases]).to(scores.device)
        scale = scores[:, 1:].abs().mean(1, keepdim=True)
        scores[:, 0] = -torch.inf
        if history is not None:
            scores[rows[:, None], torch.from_numpy(history[cases]).to(scores.device)] = -torch.inf
        own = scores[rows, target][:, None]
        margin = _TIE * (own.abs() + scale)
        above = (scores > own + margin).sum(1)
        ties = (scores >= own - margin).sum(1) - above - 1
        place = (draws[cases].to(scores.device) * (ties + 1)).long()
        ranks.append((1 + above + place).cpu())
        candidates.append(torch.isfinite(scores).sum(1).cpu())
        if topk:
            tops.append(scores.topk(topk).indices.cpu())
    top_items = torch.cat(tops).numpy() if topk else None
    return Ranking(torch.cat(ranks).numpy(), torch.cat(candidates).numpy(), top_items)
