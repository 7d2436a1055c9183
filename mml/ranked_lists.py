"""The best items of scores, as lists."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class BestItems:
    """Lists of c cases, one after the other, the best item of each first.

    Args:
        cases: int64 [n], whose each item is.
        items: int64 [n].
        scores: float [n].
    """

    cases: np.ndarray
    items: np.ndarray
    scores: np.ndarray


def best_items(scores: Tensor, top: int, n_warm_items: int, new_items_share: float | None) -> BestItems:
    """The `top` best items of each case.

    Args:
        scores: [c, n_items]; -inf is no candidate.
        top: how many, fewer where there are not so many candidates.
        n_warm_items: items beyond are new.
        new_items_share: at least this share of each list is new items, the best of them; None for no such rule.
    """
    k = min(top, scores.shape[1])
    chosen, items = _topk(scores, k)
    if new_items_share is not None:
        wanted = min(math.ceil(new_items_share * k - 1e-9), scores.shape[1] - n_warm_items - 1)
        if wanted > 0:
            chosen, items = _with_new(scores, chosen, items, n_warm_items, wanted)
    listed = chosen > -torch.inf
    cases = torch.arange(len(scores), device=scores.device)[:, None].expand_as(items)
    return BestItems(*(part[listed].cpu().numpy() for part in (cases, items, chosen)))


def _with_new(scores: Tensor, chosen: Tensor, items: Tensor, n_warm_items: int, wanted: int) -> tuple[Tensor, Tensor]:
    """Lists with `wanted` new items at least: the best new ones take the places of the last that are not new."""
    new_scores, new_items = _topk(scores[:, n_warm_items + 1 :], wanted)
    rest = scores.clone().scatter(1, new_items + n_warm_items + 1, -torch.inf)
    rest_scores, rest_items = _topk(rest, chosen.shape[1] - wanted)
    both = torch.cat([new_scores, rest_scores], 1), torch.cat([new_items + n_warm_items + 1, rest_items], 1)
    ordered, place = both[0].sort(dim=1, descending=True, stable=True)
    return ordered, both[1].gather(1, place)


def _topk(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Best scores and their columns, the smaller column first among equals: [c, k] each."""
    values, places = scores.sort(dim=1, descending=True, stable=True)
    return values[:, :k], places[:, :k]


def popular_items(counts: np.ndarray, top: int, allowed: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The allowed items that were taken most often, int64 [k], and how often, int64 [k]."""
    own = np.where(allowed.numpy(), counts, -1)
    order = np.argsort(-own, kind="stable")[:top]
    order = order[own[order] >= 0]
    return order, own[order]
