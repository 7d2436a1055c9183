"""What followed after the items of a history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mml.model.newcomers.log_index import LogIndex, Sharing

_ENTRIES = 2**12  # shared events at a time


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


def by_following(index: LogIndex, shared: Sharing, like: Following) -> np.ndarray:
    """float64 [c, n_items], not negative; 0 for what followed nothing.

    Args:
        index: the log.
        shared: what c queries share with it.
        like: the kernel.
    """
    found = np.zeros((shared.n, index.n_items))
    ahead = index.ahead(like.lags)
    for own, entries in shared.groups(_ENTRIES):
        if entries.start < entries.stop:
            events = _by_rank(index, shared, entries, own.start)
            cells = ahead[events.ranks]
            cells += (events.rows * index.n_items)[:, None]
            part, told = found[own], _told(events, like)
            part += np.bincount(cells.ravel(), told.ravel(), part.size).reshape(part.shape)
    return found


class _Events(NamedTuple):
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


def _by_rank(index: LogIndex, shared: Sharing, entries: slice, first: int) -> _Events:
    bits = int(shared.ages.max()).bit_length()
    packed = ((shared.rows[entries] - first) * index.n_events + shared.ranks[entries] << bits) | shared.ages[entries]
    packed.sort()  # several times as fast as argsort
    keys = packed >> bits
    rows = keys // index.n_events
    ranks = keys - rows * index.n_events
    left = index.stops(index.users[ranks], shared.known[first + rows]) - 1 - ranks
    return _Events(keys, rows, ranks, packed & ((1 << bits) - 1), left)


def _told(events: _Events, like: Following) -> np.ndarray:
    """What each event says of the places after it, likeness^power, float64 [m, lags].

    The latest shared event before a place speaks for the earlier ones, too; they say nothing of that place.
    """
    lags = np.arange(like.lags)
    weights = np.exp(-np.arange(int(events.ages.max()) + 1) / like.position)
    fading = np.concatenate((like.decay**lags, np.zeros(like.lags)))
    told = (weights**like.power)[events.ages][:, None] * fading[: like.lags] ** like.power
    sums, place = np.zeros((0, like.lags)), np.zeros(0, dtype=np.int64)
    for earlier, later, apart in _near_pairs(events, like.lags):
        if not len(sums):  # whoever is near another event is near the one just before it
            sums, place = weights[events.ages[later], None] * fading[: like.lags], later
        sums[np.searchsorted(place, later)] += weights[events.ages[earlier], None] * fading[apart[:, None] + lags]
    told[place] = sums**like.power
    last = events.left.copy()
    last[:-1] = np.minimum(last[:-1], np.diff(events.keys))
    short = np.flatnonzero(last < like.lags)
    told[short] *= lags < last[short, None]
    return told


def _near_pairs(events: _Events, lags: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Earlier and later events of one query and user less than `lags` ranks apart, and how many; by events between."""
    reach = np.minimum(events.left, lags - 1)
    earlier = np.arange(len(reach))
    for step in range(1, lags):
        earlier = earlier[earlier < len(reach) - step]
        apart = events.keys[earlier + step] - events.keys[earlier]
        near = apart <= reach[earlier]
        earlier, apart = earlier[near], apart[near]
        if not len(earlier):
            return
        yield earlier, earlier + step, apart
