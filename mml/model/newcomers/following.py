"""What followed after the items of a history."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mml.model.newcomers.log_index import LogIndex, RankedEvents, Sharing

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
    if not len(shared.rows):
        return found
    tables, lags = _tables(like, int(shared.ages.max()) + 1), np.arange(1, like.lags + 1)
    if not shared.by_rank:
        shared.by_rank.extend(_groups(index, shared))
    n = max(len(events.ranks) for _, events in shared.by_rank)
    numbers, values = np.empty((2, n, like.lags), dtype=np.int64), np.empty((n, like.lags))  # used again by each group
    for own, events in shared.by_rank:
        part, (places, cells), powers = found[own], numbers[:, : len(events.ranks)], values[: len(events.ranks)]
        np.add(events.ranks[:, None], lags, out=places)
        index.items.take(places, out=cells, mode="clip")  # what is beyond the log has no likeness
        cells += (events.rows * index.n_items)[:, None]
        _fill_powers(powers, events, tables)
        part += np.bincount(cells.ravel(), powers.ravel(), part.size).reshape(part.shape)
    return found


class _Tables:
    """What a shared event says of the places after it, by its age and by lags.

    Args:
        like: the kernel.
        n_ages: ages below this one.

    Attributes:
        likeness: float64 [n_ages * lags, lags], of a place `apart` events and the lag after it; row age * lags + apart.
        alone: float64 [n_ages * (lags + 1), lags], likeness^power where no other shared event is near, of the first
            n places only; row age * (lags + 1) + n.
        first_n: float64 [lags + 1, lags], row n is 1 for the first n places.
    """

    def __init__(self, like: Following, n_ages: int) -> None:
        lags = np.arange(like.lags)
        further = lags + lags[:, None]
        fading = np.where(further < like.lags, like.decay**further, 0.0)
        likeness = np.exp(-np.arange(n_ages) / like.position)[:, None, None] * fading
        self.lags, self.power = like.lags, like.power
        self.likeness = likeness.reshape(-1, like.lags)
        self.first_n = (lags < np.arange(like.lags + 1)[:, None]).astype(np.float64)
        self.alone = (likeness[:, :1] ** like.power * self.first_n).reshape(-1, like.lags)


@lru_cache(maxsize=64)
def _tables(like: Following, n_ages: int) -> _Tables:
    return _Tables(like, n_ages)


def _groups(index: LogIndex, shared: Sharing) -> list[tuple[slice, RankedEvents]]:
    """Some queries at a time, and their events; they are the same for all kernels."""
    groups = ((own, entries) for own, entries in shared.groups(_ENTRIES) if entries.start < entries.stop)
    return [(own, _by_rank(index, shared, entries, own.start)) for own, entries in groups]


def _by_rank(index: LogIndex, shared: Sharing, entries: slice, first: int) -> RankedEvents:
    rows, ranks, bits = shared.rows[entries] - first, shared.ranks[entries], int(entries.stop).bit_length()
    packed = (rows * index.n_events + ranks << bits) | np.arange(entries.start, entries.stop)
    packed.sort()  # several times as fast as argsort; queries stay where they are
    keys, order = packed >> bits, packed & ((1 << bits) - 1)
    ranks = keys - rows * index.n_events
    return RankedEvents(keys, rows, ranks, shared.ages[order], shared.stops[order] - 1 - ranks)


def _fill_powers(powers: np.ndarray, events: RankedEvents, tables: _Tables) -> None:
    """What each event says of the places after it, likeness^power; powers float64 [m, lags], to be filled.

    The latest shared event before a place speaks for the earlier ones, too; they say nothing of that place.
    """
    lags, apart = tables.lags, np.diff(events.keys)
    reach, last = np.minimum(events.left, lags - 1), np.minimum(events.left, lags)
    np.minimum(last[:-1], apart, out=last[:-1])
    tables.alone.take(events.ages * (lags + 1) + last, axis=0, out=powers, mode="clip")
    earlier = np.flatnonzero(apart <= reach[:-1])
    if not len(earlier):
        return
    likeness, begins = tables.likeness, events.ages * lags
    later = place = earlier + 1
    sums = likeness.take(begins[place], axis=0)
    sums += likeness.take(begins[earlier] + apart[earlier], axis=0)
    while len(later):
        inside = later < len(apart)
        earlier, later = earlier[inside], later[inside] + 1
        steps = events.keys[later] - events.keys[earlier]
        near = steps <= reach[earlier]
        earlier, later = earlier[near], later[near]
        sums[np.searchsorted(place, later)] += likeness.take(begins[earlier] + steps[near], axis=0)
    powers[place] = sums**tables.power * tables.first_n.take(last[place], axis=0)
