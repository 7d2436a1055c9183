"""A log by item and by user, so that many queries at once find what they share with it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mml.data.events import EventLog
from mml.data.rolling import Queries

_NEVER = np.iinfo(np.int64).max


class Neighbours(NamedTuple):
    """Neighbours of c queries; [m] each, by query.

    Args:
        rows: the query.
        users: the neighbour.
        begins: the first rank of the user.
        stops: the rank after the last one that is known.
        weights: how much they count.
        places: the rank of the latest shared item.
    """

    rows: np.ndarray
    users: np.ndarray
    begins: np.ndarray
    stops: np.ndarray
    weights: np.ndarray
    places: np.ndarray


class RankedEvents(NamedTuple):
    """Shared events in order of query and rank, [m] each.

    Args:
        keys: ascend by query and rank; between events of one query and user their difference is that of the ranks.
        rows: the query, counted from the first one.
        ranks: see `Sharing`.
        ages: see `Sharing`.
        left: how many later events of the same user are known.
    """

    keys: np.ndarray
    rows: np.ndarray
    ranks: np.ndarray
    ages: np.ndarray
    left: np.ndarray


@dataclass(frozen=True)
class Sharing:
    """Others' latest events with items of c histories, by query, of each the older items first.

    Args:
        n: c.
        known: int64 [c], as in the queries.
        at_end: whether all of them know the whole log.
        rows: int64 [m], ascending, the query.
        users: int64 [m], whose event it is.
        ranks: int64 [m], its place in the log by user.
        ages: int64 [m], of the item in the history, 0 for the latest.
        stops: int64 [m], the rank after the user's last event that is known to the query.
        neighbours: settings of `by_neighbours` -> what it found, kept for kernels like it.
        by_rank: the entries as `by_following` reads them, likewise.
    """

    n: int
    known: np.ndarray
    at_end: bool
    rows: np.ndarray
    users: np.ndarray
    ranks: np.ndarray
    ages: np.ndarray
    stops: np.ndarray
    neighbours: dict[tuple[float, ...], Neighbours] = field(default_factory=dict)
    by_rank: list[tuple[slice, RankedEvents]] = field(default_factory=list)

    def groups(self, most: int) -> Iterator[tuple[slice, slice]]:
        """Queries and their entries, about `most` entries at a time, so that they stay in the processor's cache."""
        if len(self.rows) <= most:
            yield slice(0, self.n), slice(0, len(self.rows))
            return
        ends = np.searchsorted(self.rows, np.arange(1, self.n + 1))
        for own in groups(np.diff(ends, prepend=0), most):
            yield own, slice(int(ends[own.start - 1]) if own.start else 0, int(ends[own.stop - 1]))


class LogIndex:
    """The events sorted by item and by user; a user's stand in order of time, and a rank is a place among the latter.

    Args:
        events: the log.
        n_items: number of items, the padding item included.

    Attributes:
        items: int64 [n], by rank.
        users: int64 [n], by rank.
        again: int64 [n], by rank, the number of the next event with the same user and item; None if nobody took
            anything twice.
        numbers: int64 [n], by rank, the event's place in the log.
        begin: int64 [n_users + 1], the first rank of each user.
    """

    def __init__(self, events: EventLog, n_items: int) -> None:
        self.n_events, self.n_items = len(events), n_items
        self.n_users = int(events.users.max(initial=-1)) + 1
        by_item, self._item_begin = _grouped(events.items, n_items)
        self.numbers, self.begin = _grouped(events.users, self.n_users)
        rank = np.empty(len(events), dtype=np.int64)
        rank[self.numbers] = np.arange(len(events))
        self.items, self.users = events.items[self.numbers], events.users[self.numbers]
        self._sizes = np.diff(self._item_begin)
        self._sizes[0] = 0
        again = _next_of_pair(events)
        is_repeated = bool((again != _NEVER).any())
        self.again = again[self.numbers] if is_repeated else None
        self._keys_by_item = self._key(events.items[by_item], by_item)
        self._users_by_item, self._ranks_by_item = events.users[by_item], rank[by_item]
        self._events, self._clock = events, (0, np.zeros(self.n_users, dtype=np.int64))
        self._latest: tuple[tuple[bytes, ...], Sharing] | None = None

    @cached_property
    def blocks(self) -> Blocks:
        """The events by user in blocks of one width."""
        return Blocks(self)

    def sharing(self, queries: Queries, most: int) -> Sharing:
        """What the queries share with the log, of each item the latest `most` events.

        That of the latest queries is kept, as several kernels ask for it.
        """
        asked = queries.histories, queries.known, queries.users, np.array(most)
        key = tuple(one.tobytes() for one in asked)
        latest = self._latest
        if latest is None or latest[0] != key:
            self._latest = latest = key, self._found(queries, most)
        return latest[1]

    def n_shared(self, queries: Queries, most: int) -> np.ndarray:
        """int64 [c], not less than how many entries each query has in `sharing`."""
        return np.minimum(self._sizes[queries.histories], most).sum(1)

    def _found(self, queries: Queries, most: int) -> Sharing:
        rows, items, ages = _different(queries, self.n_items)
        stops = np.searchsorted(self._keys_by_item, self._key(items, queries.known[rows]))
        begins = np.maximum(self._item_begin[items], stops - most)
        counts = stops - begins
        entries = spread(begins, counts)
        rows, ages = np.repeat(rows, counts), np.repeat(ages, counts)
        users, ranks = self._users_by_item[entries], self._ranks_by_item[entries]
        found = rows, users, ranks, ages
        if self.again is not None or (queries.users >= 0).any():
            kept = users != queries.users[rows]
            if self.again is not None:
                kept &= self.again[ranks] >= queries.known[rows]
            found = rows[kept], users[kept], ranks[kept], ages[kept]
        at_end = bool((queries.known >= self.n_events).all())
        stops = self.begin[found[1] + 1] if at_end else self._stops(found[0], found[1], queries.known)
        return Sharing(len(queries), queries.known, at_end, *found, stops)

    def _stops(self, rows: np.ndarray, users: np.ndarray, known: np.ndarray) -> np.ndarray:
        """The rank after the last event of each user [m] that is known to its query; rows ascend."""
        stops, ends = self.begin[users], np.searchsorted(rows, np.arange(len(known) + 1))
        for row, (begin, end) in enumerate(itertools.pairwise(ends)):
            if begin < end:
                stops[begin:end] += self._until(int(known[row]))[users[begin:end]]
        return stops

    def _until(self, known: int) -> np.ndarray:
        """Number of events of each user before event number `known`; counted on from the latest call's."""
        done, sizes = self._clock
        if known < done:
            done, sizes = 0, np.zeros(self.n_users, dtype=np.int64)
        np.add.at(sizes, self._events.users[done:known], 1)
        self._clock = max(known, done), sizes
        return sizes

    def _key(self, groups: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Ascends by group and by number within it."""
        return groups * (self.n_events + 1) + np.minimum(numbers, self.n_events)


class Blocks:
    """Each user's events in blocks of one width, the last one of each filled up with item 0: a block is read at once.

    Args:
        index: the log.

    Attributes:
        width: of a block.
        items: int64 [n_blocks, width].
        begin: int64 [n_users], the first block of each user.
    """

    def __init__(self, index: LogIndex) -> None:
        sizes = np.diff(index.begin)
        mean = index.n_events / max(int((sizes > 0).sum()), 1)
        self.width = 2 ** int(np.clip(np.log2(max(mean, 1)) - 1.5, 2, 5))
        counts = -(-sizes // self.width)
        self.begin = np.cumsum(counts) - counts
        owners = index.users
        self._cells = np.arange(index.n_events) - index.begin[owners] + self.begin[owners] * self.width
        self._n, self._index = int(counts.sum()), index
        self.items = self._blocked(index.items, 0)
        self._fading: dict[float, np.ndarray] = {}

    def fading(self, distance: float, reach: int) -> np.ndarray:
        """exp(-|places apart| / distance) of a block's events; row `reach + width` is of one that begins at the place.

        Args:
            distance: in events.
            reach: blocks begin so many events before a place at most, and a width more.

        Returns:
            float64 [2 reach + width + 1, width].
        """
        if distance not in self._fading:
            apart = np.abs(np.arange(-reach - self.width, reach + self.width))
            windows = sliding_window_view(np.exp(-apart / distance), self.width)
            self._fading[distance] = np.ascontiguousarray(windows)
        return self._fading[distance]

    def leave_out_repeated(self, values: np.ndarray, blocks: np.ndarray, shared: Sharing, rows: np.ndarray) -> None:
        """Set values [m, width] of blocks [m] to 0 where the item was taken again before the query.

        Args:
            values: changed in place.
            blocks: int64 [m].
            shared: of the queries.
            rows: int64 [m], the queries.
        """
        if self._again is not None:
            values *= self._again.take(blocks, axis=0) >= shared.known[rows, None]

    @cached_property
    def _again(self) -> np.ndarray | None:
        return None if self._index.again is None else self._blocked(self._index.again, 0)

    def _blocked(self, values: np.ndarray, default: int) -> np.ndarray:
        found = np.full(self._n * self.width, default)
        found[self._cells] = values
        return found.reshape(self._n, self.width)


def spread(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The numbers begin, begin + 1, ... of each range, one range after the other, int64 [sum of counts]."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(begins - ends + counts, counts)


def groups(sizes: np.ndarray, most: int) -> Iterator[slice]:
    """Neighbouring rows whose sizes, int64 [n], sum up to about `most`, at least one at a time."""
    ends = np.cumsum(sizes)
    if not len(ends) or ends[-1] <= most:
        yield slice(0, len(ends))
        return
    starts = np.flatnonzero(np.diff(ends // most, prepend=-1))
    for begin, end in zip(starts, [*starts[1:], len(sizes)], strict=True):
        yield slice(int(begin), int(end))


def _different(queries: Queries, n_items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Query, item and least age of the items of the histories, by query, the oldest first."""
    rows, places = np.nonzero(queries.histories)
    items = queries.histories[rows, places]
    ages = queries.lengths[rows] - 1 - places
    # Of an item that is there twice the later one counts.
    _, last = np.unique((rows * n_items + items)[::-1], return_index=True)
    if len(last) < len(rows):
        kept = np.sort(len(rows) - 1 - last)
        rows, items, ages = rows[kept], items[kept], ages[kept]
    return rows, items, ages


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
