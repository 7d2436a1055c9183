"""Nearest prefixes: what followed the histories that are most like this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.data.transitions import positions
from mml.model.log.histories import as_matrix, decayed
from mml.model.log.prior import PriorMethod
from mml.model.log.slot import LogModel, behind, touched
from mml.settings import setting

_CELLS = 2**23  # similarities held at a time


@dataclass(frozen=True)
class PrefixKNN(PriorMethod):
    """score(i) = sum over the most similar prefixes that i follows of similarity^power.

    A prefix is the items of a user up to a place, weighing decay^age; similarity is the cosine.
    """

    stage: ClassVar[str] = "baseline"
    section: ClassVar[str] = "PrefixKNN"
    decay: float = setting(0.8, "Weight of an item against the next one's.", low=0.0, high=1.0)
    power: float = setting(1.0, "Exponent of the similarities.", low=0.0)
    neighbours: int = setting(1000, "At most so many prefixes count.", low=1)
    backoff: float = setting(1e-4, "Weight of popularity against the best score, for what followed none.", low=0.0)
    max_prefixes: int = setting(200_000, "Only the users' first places take part, as many each as make so many.", low=1)
    searched: Mapping[str, Sequence[float]] = setting(
        {
            "decay": [0.4, 0.6, 0.8, 0.9, 0.95],
            "power": [0.5, 1.0, 2.0, 3.0],
            "neighbours": [200, 500, 1000, 2000, 5000],
        },
        "Values tried on the newcomers of earlier moments, by setting.",
    )

    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        return PrefixModel(log, n_items, self)


class PrefixModel:
    """A fitted PrefixKNN; arguments as for its `fit`."""

    def __init__(self, log: PackedSequences, n_items: int, settings: PrefixKNN) -> None:
        self.known, self._n_items, self._settings = touched(log, n_items), n_items, settings
        counts = np.bincount(log.items, minlength=n_items)
        self._backoff = settings.backoff * counts / max(counts.max(initial=0), 1)
        first = log.head(_places_each(log.lengths, settings.max_prefixes))
        longest = int(first.lengths.max(initial=1))
        blocks = list(positions(first, settings.decay, longest, n_items))
        self._prefixes = sp.vstack([x for x, _ in blocks] or [sp.csr_matrix((0, n_items))], "csr")
        self._next = np.concatenate([y.indices for _, y in blocks] or [[]]).astype(np.int64)
        n_each = np.maximum(first.lengths - 1, 0)
        self._users = np.repeat(np.arange(len(first)), n_each)

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None, shots: np.ndarray | None = None) -> Tensor:
        """[c, n_items] after histories [c, L] (see LogModel)."""
        step = max(_CELLS // max(len(self._next), self._n_items, 1), 1)
        own = np.full(len(histories), -1) if own is None else own
        blocks = (slice(begin, begin + step) for begin in range(0, len(histories), step))
        parts = [self._of_block(histories[rows], own[rows]) for rows in blocks]
        return behind(torch.from_numpy(np.concatenate(parts)).float(), self.known)

    def _of_block(self, histories: np.ndarray, own: np.ndarray) -> np.ndarray:
        query = as_matrix(histories, decayed(histories, self._settings.decay), self._n_items)
        norms = np.sqrt(np.asarray(query.multiply(query).sum(1))).ravel()
        query = sp.diags(1 / np.maximum(norms, 1e-12)) @ query
        similarity = torch.from_numpy((query @ self._prefixes.T).toarray())
        if (own >= 0).any():
            similarity.masked_fill_(torch.from_numpy(own[:, None] == self._users), 0.0)
        value, place = similarity.topk(min(self._settings.neighbours, similarity.shape[1]), dim=1)
        weights = np.where(value.numpy() > 0, np.maximum(value.numpy(), 0) ** self._settings.power, 0.0)
        items = np.arange(len(histories))[:, None] * self._n_items + self._next[place.numpy()]
        found = np.bincount(items.ravel(), weights=weights.ravel(), minlength=len(histories) * self._n_items)
        found = found.reshape(len(histories), self._n_items)
        return found / np.maximum(found.max(1, keepdims=True), 1e-300) + self._backoff


def _places_each(lengths: np.ndarray, most: int) -> int | None:
    """How many first interactions of each user make at most `most` prefixes, all (None) if they do."""
    if np.maximum(lengths - 1, 0).sum() <= most:
        return None
    ordered = np.sort(lengths - 1)
    reached = [int(np.minimum(ordered, n).sum()) for n in range(1, 1 + int(ordered[-1]))]
    return 1 + max(int(np.searchsorted(reached, most, side="right")), 1)
