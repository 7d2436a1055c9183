"""Session-based nearest neighbours: V-SKNN, STAN and VSTAN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.model.log.histories import ages, as_matrix
from mml.model.log.prior import PriorMethod
from mml.model.log.slist import session_weights
from mml.model.log.slot import LogModel, behind, touched
from mml.settings import setting

_CELLS = 2**22  # numbers held at a time


@dataclass(frozen=True)
class Kernels:
    """What near means; `linear` is the step-wise weight of V-SKNN.

    Args:
        position: exp(-age / position) weighs the history's items; None for linear weights 1/n .. 1.
        life: exp(-age / life) weighs sessions, age in shares of the log's time since their end; None for all alike.
        distance: exp(-|places apart| / distance) weighs a neighbour's items by their distance to the latest shared
            one; None for all alike.
        match: exp(-age / match) weighs a neighbour by the age of the latest shared item; None for 1 - age / 10.
            0 for all alike.
        idf: an item's scores are multiplied by 1 + idf log(sessions / sessions with it).
        neighbours: at most so many sessions count.
        backoff: weight of popularity against the best score, for what no neighbour has.
    """

    position: float | None
    life: float | None
    distance: float | None
    match: float | None
    idf: float
    neighbours: int
    backoff: float

    def of_history(self, histories: np.ndarray) -> np.ndarray:
        """Weights of the histories' items, float64 [c, L]; 0 for pads."""
        age = ages(histories)
        if self.position is None:
            n = np.maximum((histories > 0).sum(1, keepdims=True), 1)
            weights = (n - age) / n
        else:
            weights = np.exp(-np.maximum(age, 0) / self.position)
        return np.where(age >= 0, weights, 0.0)

    def of_match(self, age: np.ndarray) -> np.ndarray:
        """Weights of neighbours by the age of the latest shared item, [...] -> [...]."""
        if self.match is None:
            return np.maximum(1.0 - age / 10.0, 0.0)
        return np.exp(-age / self.match) if self.match else np.ones(len(age))

    def of_distance(self, apart: np.ndarray) -> np.ndarray:
        """Weights of a neighbour's items by how far they are from the latest shared one, [...] -> [...]."""
        return np.ones(len(apart)) if self.distance is None else np.exp(-np.abs(apart) / self.distance)


class NeighbourModel:
    """score(i) = sum over the nearest sessions of similarity, match, distance and idf (see Kernels).

    The similarity of history h and session s is sum over the shared items of the history's weights, over the root of
    the session's number of items, times the session's weight. What no neighbour has is ordered by popularity.

    Args:
        log: the sessions.
        n_items: number of items, the padding item included.
        times: float64 [n_interactions] or None.
        kernels: see above.
    """

    def __init__(self, log: PackedSequences, n_items: int, times: np.ndarray | None, kernels: Kernels) -> None:
        self.known, self._kernels, self._n_items = touched(log, n_items), kernels, n_items
        self._sessions = _last_places(log, n_items)
        sizes = np.diff(self._sessions.indptr)
        present = sp.csr_matrix(
            (np.ones(len(self._sessions.data)), self._sessions.indices, self._sessions.indptr), self._sessions.shape
        )
        weights = np.ones(len(log)) if kernels.life is None else session_weights(log, times, kernels.life)
        self._similar = (sp.diags(weights / np.sqrt(np.maximum(sizes, 1))) @ present).T.tocsr()
        frequency = np.maximum(np.asarray(present.sum(0)).ravel(), 1)
        self._idf = 1.0 + kernels.idf * np.log(max(len(log), 1) / frequency)
        counts = np.bincount(log.items, minlength=n_items)
        self._backoff = kernels.backoff * counts / max(counts.max(initial=0), 1)

    def scores(self, histories: np.ndarray, own: np.ndarray | None = None, shots: np.ndarray | None = None) -> Tensor:
        """[c, n_items] after histories [c, L] (see LogModel)."""
        if not len(self._idf) or not self.known.any():
            return torch.zeros(len(histories), self._n_items)
        own = np.full(len(histories), -1) if own is None else own
        parts = [self._of_block(histories[rows], own[rows]) for rows in self._blocks(len(histories))]
        return behind(torch.from_numpy(np.concatenate(parts)).float(), self.known)

    def _blocks(self, n_cases: int) -> Iterator[slice]:
        n_sessions, longest = self._sessions.shape[0], int(np.diff(self._sessions.indptr).max(initial=1))
        cells = max(n_sessions, min(self._kernels.neighbours, n_sessions) * longest, self._n_items)
        step = max(_CELLS // cells, 1)
        yield from (slice(begin, begin + step) for begin in range(0, n_cases, step))

    def _of_block(self, histories: np.ndarray, own: np.ndarray) -> np.ndarray:
        cases, sessions, similarity = self._nearest(histories, own)
        n_entries = np.diff(self._sessions.indptr)[sessions]
        if not len(cases):
            return np.repeat(self._backoff[None], len(histories), 0)
        owner = np.repeat(np.arange(len(cases)), n_entries)
        begin = np.cumsum(n_entries) - n_entries
        entries = np.repeat(self._sessions.indptr[sessions] - begin, n_entries) + np.arange(len(owner))
        items, places = self._sessions.indices[entries], self._sessions.data[entries] - 1
        age = _age_table(histories, self._n_items)[cases[owner], items]
        latest = np.minimum.reduceat(age * 2**32 + places, begin)  # the least age, and where the neighbour has it
        weights = similarity * self._kernels.of_match(latest // 2**32)
        values = weights[owner] * self._kernels.of_distance(places - (latest % 2**32)[owner]) * self._idf[items]
        size = len(histories) * self._n_items
        found = np.bincount(cases[owner] * self._n_items + items, weights=values, minlength=size)
        found = found.reshape(len(histories), self._n_items)
        return found / np.maximum(found.max(1, keepdims=True), 1e-300) + self._backoff

    def _nearest(self, histories: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cases, their nearest sessions and the similarities, [m] each, by case; those that share nothing left out."""
        query = as_matrix(histories, self._kernels.of_history(histories), self._n_items)
        found, in_log = (query @ self._similar).toarray(), np.flatnonzero(own >= 0)
        found[in_log, own[in_log]] = 0.0
        similarity = torch.from_numpy(found)
        k = min(self._kernels.neighbours, similarity.shape[1])
        value, place = similarity.topk(k, dim=1)
        cases, column = np.nonzero(value.numpy() > 0)
        return cases, place.numpy()[cases, column], value.numpy()[cases, column]


def _last_places(log: PackedSequences, n_items: int) -> sp.csr_matrix:
    """Whose session has which items: 1 + the last place of each, int64 [n_users, n_items]."""
    key = log.owners * n_items + log.items
    different, latest = np.unique(key[::-1], return_index=True)
    rows, items = different // n_items, different % n_items
    values = 1 + log.places[::-1][latest]
    return sp.csr_matrix((values, (rows, items)), shape=(len(log), n_items))


def _age_table(histories: np.ndarray, n_items: int) -> np.ndarray:
    """How long ago an item was last in the history, int64 [c, n_items]; 2^30 if it is not there."""
    table = np.full((len(histories), n_items), 2**30)
    rows, age = np.arange(len(histories)), ages(histories)
    for place in range(histories.shape[1]):
        there = histories[:, place] > 0
        table[rows[there], histories[there, place]] = age[there, place]
    return table


_SEARCHED = "Values tried on the newcomers of earlier moments, by setting."
_BACKOFF = "Weight of popularity against the best score, for what no neighbour has."
_LIVES = [0.1, 0.25, 0.5, 1.0, 4.0]


@dataclass(frozen=True)
class VSKNN(PriorMethod):
    """Vector multiplication session kNN (Ludewig and Jannach, UMUAI 2018): linear weights, idf."""

    stage: ClassVar[str] = "baseline"
    section: ClassVar[str] = "VSKNN"
    neighbours: int = setting(100, "At most so many sessions count.", low=1)
    idf: float = setting(1.0, "How much rarer items are preferred.", low=0.0)
    backoff: float = setting(1e-4, _BACKOFF, low=0.0)
    searched: Mapping[str, Sequence[float]] = setting(
        {"neighbours": [50, 100, 200, 500, 1000], "idf": [0.0, 0.2, 0.5, 1.0]}, _SEARCHED
    )

    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        return NeighbourModel(
            log, n_items, times, Kernels(None, None, None, None, self.idf, self.neighbours, self.backoff)
        )


@dataclass(frozen=True)
class STAN(PriorMethod):
    """Sequence and time aware neighbourhood (Garg et al., SIGIR 2019)."""

    stage: ClassVar[str] = "baseline"
    section: ClassVar[str] = "STAN"
    shares_of_time: ClassVar[tuple[str, ...]] = ("life",)
    neighbours: int = setting(200, "At most so many sessions count.", low=1)
    position: float = setting(4.0, "Items of the history weigh exp(-age / position).", low=1e-3)
    life: float = setting(1.0, "Sessions weigh exp(-age / life), age a share of the log's time.", low=1e-6)
    distance: float = setting(20.0, "A neighbour's items weigh exp(-places apart / distance).", low=1e-3)
    backoff: float = setting(1e-4, _BACKOFF, low=0.0)
    searched: Mapping[str, Sequence[float]] = setting(
        {
            "distance": [2.0, 5.0, 10.0, 20.0, 50.0, 200.0],
            "position": [1.0, 2.0, 4.0, 8.0, 20.0],
            "life": _LIVES,
            "neighbours": [50, 100, 200, 500, 1000],
        },
        _SEARCHED,
    )

    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        kernels = Kernels(self.position, self.life, self.distance, 0.0, 0.0, self.neighbours, self.backoff)
        return NeighbourModel(log, n_items, times, kernels)


@dataclass(frozen=True)
class VSTAN(STAN):
    """STAN with V-SKNN's match and idf weights (Ludewig et al., UMUAI 2021)."""

    section: ClassVar[str] = "VSTAN"
    match: float = setting(4.0, "Neighbours weigh exp(-age of the latest shared item / match).", low=1e-3)
    idf: float = setting(0.0, "How much rarer items are preferred.", low=0.0)
    searched: Mapping[str, Sequence[float]] = setting(
        {
            "distance": [2.0, 5.0, 10.0, 20.0, 50.0, 200.0],
            "position": [1.0, 2.0, 4.0, 8.0, 20.0],
            "life": _LIVES,
            "neighbours": [50, 100, 200, 500, 1000],
            "match": [1.0, 2.0, 4.0, 8.0, 100.0],
            "idf": [0.0, 0.2, 0.5, 1.0],
        },
        _SEARCHED,
    )

    def fit_plain(self, log: PackedSequences, n_items: int, times: np.ndarray | None) -> LogModel:
        kernels = Kernels(self.position, self.life, self.distance, self.match, self.idf, self.neighbours, self.backoff)
        return NeighbourModel(log, n_items, times, kernels)
