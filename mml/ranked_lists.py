"""The best items of scores, as lists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True)
class ListedItems:
    """Lists of some users, the best item of each first; arrays are [n], a value per item.

    Args:
        users: int64, whose each item is; those of a user follow each other.
        items: int64.
        scores: float.
        by: what made the list.
        contributions: learner -> what it contributed to the score; NaN where there is no telling.
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    by: np.ndarray
    contributions: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, users: np.ndarray, items: np.ndarray, scores: np.ndarray, by: str, contributions: Mapping[str, np.ndarray]
    ) -> ListedItems:
        """Lists that one thing made, all arguments [n] and in order of user and rank."""
        return cls(users, items, scores, np.full(len(users), by, dtype=object), contributions)

    @classmethod
    def joined(cls, parts: Sequence[ListedItems]) -> ListedItems:
        """All parts, at least one, in the order of the users."""
        if len(parts) == 1:
            return parts[0]
        users = np.concatenate([part.users for part in parts])
        order = np.argsort(users, kind="stable")
        names = dict.fromkeys(name for part in parts for name in part.contributions)
        contributions = {name: np.concatenate([_contribution(part, name) for part in parts])[order] for name in names}
        items, scores, by = (
            np.concatenate([getattr(part, name) for part in parts])[order] for name in ("items", "scores", "by")
        )
        return cls(users[order], items, scores, by, contributions)

    @property
    def ranks(self) -> np.ndarray:
        """int64 [n], each item's place in its list, from 1."""
        numbers = np.arange(len(self.users))
        begins = np.append(True, self.users[1:] != self.users[:-1])[: len(self.users)]
        return 1 + numbers - np.maximum.accumulate(np.where(begins, numbers, 0))


def _contribution(part: ListedItems, name: str) -> np.ndarray:
    own = part.contributions.get(name)
    return np.full(len(part.users), np.nan, dtype=np.float32) if own is None else own


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
    """Lists with `wanted` new items at least: the best new ones take the places of the last that are not new.

    A case with fewer new candidates has them all.
    """
    k = chosen.shape[1]
    new_scores, new_items = _topk(scores[:, n_warm_items + 1 :], wanted)
    rest = scores.clone().scatter(1, new_items + n_warm_items + 1, -torch.inf)
    rest_scores, rest_items = _topk(rest, k)
    n_new = (new_scores > -torch.inf).sum(1, keepdim=True)
    beyond = torch.arange(k, device=scores.device) >= k - n_new
    rest_scores = rest_scores.masked_fill(beyond, -torch.inf)
    both = torch.cat([new_scores, rest_scores], 1), torch.cat([new_items + n_warm_items + 1, rest_items], 1)
    ordered, place = both[0].sort(dim=1, descending=True, stable=True)
    return ordered[:, :k], both[1].gather(1, place)[:, :k]


def _topk(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Best scores and their columns, the smaller column first among equals: [c, k] each."""
    if 2 * k >= scores.shape[1]:
        return _sorted(scores, k)
    _, places = scores.topk(k, dim=1)
    places = places.sort(dim=1).values
    values, order = scores.gather(1, places).sort(dim=1, descending=True, stable=True)
    places = places.gather(1, order)
    more = (scores >= values[:, -1:]).sum(1) > k  # equals of the last one: which of them, topk leaves open
    if more.any():
        values[more], places[more] = _sorted(scores[more], k)
    return values, places


def _sorted(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As `_topk`, by sorting all."""
    values, places = scores.sort(dim=1, descending=True, stable=True)
    return values[:, :k], places[:, :k]


def popular_items(counts: np.ndarray, top: int, allowed: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The allowed items that were taken most often, int64 [k], and how often, int64 [k]."""
    own = np.where(allowed.numpy(), counts, -1)
    order = np.argsort(-own, kind="stable")[:top]
    order = order[own[order] >= 0]
    return order, own[order]
