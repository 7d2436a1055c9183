"""The log as a memory: what like-minded users took, as of any event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mml.data.events import EventLog
from mml.data.rolling import Queries

_NEVER = np.iinfo(np.int64).max
_KEPT = 64
_Sharing = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Nearness:
    """What near means; ages of items are counted in interactions.

    Args:
        position: an item of the history weighs exp(-age / position).
        life: a user weighs exp(-events since their last one / life), life a share of the log; events are its clock.
        distance: a neighbour's item weighs exp(-places apart from the latest shared item / distance).
        match: a neighbour weighs exp(-age of the latest shared item / match).
        neighbours: at most so many users count.
        most_events: of an item of the history the latest so many events count.
    """

    position: float = 4.0
    life: float = 1.0
    distance: float = 20.0
    match: float = 4.0
    neighbours: int = 200
    most_events: int = 2000


@dataclass(frozen=True)
class Following:
    """What follows: every place of another user after shared items is like the present one.

    A place's likeness is the sum over the shared items before it of exp(-age / position) decay^(places between); its
    item counts likeness^power. It is PrefixKNN without the prefixes' norms and without an end to the neighbours.

    Args:
        position: an item of the history weighs exp(-age / position).
        decay: weight of a shared item that is one place further back.
        power: exponent of the likeness.
        lags: places further than so many from a shared item are not like it.
        most_events: of an item of the history the latest so many events count.
    """

    position: float = 4.0
    decay: float = 0.8
    power: float = 2.0
    lags: int = 12
    most_events: int = 2000


class Memory:
    """The events by item and by user, so that a query reads what was known at its moment and nothing later.

    Args:
        events: the log; a query reads those before its `known`.
        n_items: number of items, the padding item included.
        span: the number of events that `life` is a share of.
    """

    def __init__(self, events: EventLog, n_items: int, span: int) -> None:
        self._events, self._n_items, self._span = events, n_items, span
        self._n_users = int(events.users.max(initial=-1)) + 1
        self._by_item, self._item_begin = _grouped(events.items, n_items)
        self._by_user, self._user_begin = _grouped(events.users, self._n_users)
        self._rank = np.empty(len(events), dtype=np.int64)
        self._rank[self._by_user] = np.arange(len(events))
        self._again = _next_of_pair(events)
        self._shared: dict[tuple[bytes, int, int, int], _Sharing] = {}  # of the latest queries: several kernels ask
        self._clock = 0, np.zeros(self._n_users, dtype=np.int64), np.zeros(self._n_users)

    def scores(self, queries: Queries, near: Nearness) -> np.ndarray:
        """float64 [c, n_items], not negative; 0 for what no neighbour took. Fastest in order of `known`."""
        found = np.zeros((len(queries), self._n_items))
        for row in range(len(queries)):
            history = queries.histories[row]
            history = history[history > 0]
            if len(history):
                found[row] = self._of_one(history, int(queries.known[row]), int(queries.users[row]), near)
        return found

    def following(self, queries: Queries, like: Following) -> np.ndarray:
        """float64 [c, n_items], not negative; 0 for what followed nothing."""
        found = np.zeros((len(queries), self._n_items))
        for row in range(len(queries)):
            history = queries.histories[row]
            history = history[history > 0]
            if len(history):
                found[row] = self._followers(history, int(queries.known[row]), int(queries.users[row]), like)
        return found

    def _followers(self, history: np.ndarray, known: int, own: int, like: Following) -> np.ndarray:
        shared, age = self._sharing(history, known, own, like.most_events)
        ranks = self._rank[shared][:, None] + np.arange(1, like.lags + 1)[None]
        within = ranks < self._user_begin[self._events.users[shared] + 1][:, None]
        ranks = np.where(within, ranks, 0)
        within &= self._by_user[ranks] < known
        values = np.exp(-age / like.position)[:, None] * like.decay ** np.arange(like.lags)[None]
        places, which = np.unique(ranks[within], return_inverse=True)
        likeness = np.bincount(which, values[within], len(places))
        items = self._events.items[self._by_user[places]]
        return np.bincount(items, likeness**like.power, self._n_items)

    def _of_one(self, history: np.ndarray, known: int, own: int, near: Nearness) -> np.ndarray:
        sizes, ends = self._until(known)
        shared, age = self._sharing(history, known, own, near.most_events)
        if not len(shared):
            return np.zeros(self._n_items)
        users = self._events.users[shared]
        similarity = np.bincount(users, np.exp(-age / near.position), self._n_users)
        candidates = np.flatnonzero(similarity)
        rest = (known - ends[candidates]) / (near.life * self._span)
        weight = similarity[candidates] / np.sqrt(sizes[candidates]) * np.exp(-rest)
        if len(candidates) > near.neighbours:
            best = np.argpartition(-weight, near.neighbours - 1)[: near.neighbours]
            candidates, weight = candidates[best], weight[best]
        latest, place = self._latest_shared(shared, age, users)
        weight = weight * np.exp(-latest[candidates] / near.match)
        return self._taken(candidates, weight, place[candidates], sizes, known, near)

    def _until(self, known: int) -> tuple[np.ndarray, np.ndarray]:
        """Number of events and the last event of each user before event number `known`."""
        done, sizes, ends = self._clock
        if known < done:
            done, sizes, ends = 0, np.zeros(self._n_users, dtype=np.int64), np.zeros(self._n_users)
        new = slice(done, known)
        sizes += np.bincount(self._events.users[new], minlength=self._n_users)
        ends[self._events.users[new]] = np.arange(done, known)
        self._clock = known, sizes, ends
        return sizes, ends

    def _sharing(self, history: np.ndarray, known: int, own: int, most: int) -> _Sharing:
        """Others' latest events with items of the history, and these items' ages; [m] each."""
        key = history.tobytes(), known, own, most
        if key not in self._shared:
            if len(self._shared) >= _KEPT:
                self._shared.clear()
            self._shared[key] = self._counted_sharing(history, known, own, most)
        return self._shared[key]

    def _counted_sharing(self, history: np.ndarray, known: int, own: int, most: int) -> _Sharing:
        events, ages = [], []
        different, first = np.unique(history[::-1], return_index=True)
        for item, age in zip(different, first, strict=True):
            own_events = self._by_item[self._item_begin[item] : self._item_begin[item + 1]]
            n = np.searchsorted(own_events, known)
            one = own_events[max(n - most, 0) : n]
            events.append(one)
            ages.append(np.full(len(one), age))
        found, age = np.concatenate(events), np.concatenate(ages)
        kept = (self._again[found] >= known) & (self._events.users[found] != own)
        return found[kept], age[kept]

    def _latest_shared(self, shared: np.ndarray, age: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By user: the least age of a shared item, and the place of it in the user's own sequence."""
        order = np.argsort(-age, kind="stable")
        latest, place = np.zeros(self._n_users), np.zeros(self._n_users, dtype=np.int64)
        latest[users[order]] = age[order]
        place[users[order]] = self._rank[shared[order]]
        return latest, place

    def _taken(
        self,
        users: np.ndarray,
        weight: np.ndarray,
        place: np.ndarray,
        sizes: np.ndarray,
        known: int,
        near: Nearness,
    ) -> np.ndarray:
        """What the users took before `known`, weighted; float64 [n_items]."""
        counts = sizes[users]
        owner = np.repeat(np.arange(len(users)), counts)
        begin = np.cumsum(counts) - counts
        ranks = np.arange(len(owner)) - begin[owner] + self._user_begin[users][owner]
        apart = np.abs(ranks - place[owner])
        events = self._by_user[ranks]
        near_by = np.exp(-np.arange(int(apart.max(initial=0)) + 1) / near.distance)
        values = weight[owner] * near_by[apart] * (self._again[events] >= known)
        return np.bincount(self._events.items[events], values, self._n_items)


def _grouped(keys: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of each key in ascending order, and where each key's begin."""
    return np.argsort(keys, kind="stable"), np.concatenate(([0], np.cumsum(np.bincount(keys, minlength=n))))


def _next_of_pair(events: EventLog) -> np.ndarray:
    """int64 [n]: the number of the next event with the same user and item."""
    order = np.lexsort((np.arange(len(events)), events.items, events.users))
    same = (np.diff(events.users[order]) == 0) & (np.diff(events.items[order]) == 0)
    result = np.full(len(events), _NEVER)
    result[order[:-1][same]] = order[1:][same]
    return result
