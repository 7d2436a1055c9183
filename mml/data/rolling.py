"""Rolling newcomers: who arrived after earlier moments of the log, and what was known when they took something."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from mml.data.events import EventLog


@dataclass(frozen=True)
class Queries:
    """N moments at which somebody's next item is asked for.

    Args:
        histories: int64 [N, L], what the user took before, oldest first, 0 pads at the end.
        known: int64 [N], the events of the log before this number are known, whoever's.
        users: int64 [N], whose events in the log are the user's own; -1 for none.
        asked: float64 [N], when the user took the latest item of the history, on the log's clock; NaN if that is not
            known.
        shots: int64 [N], how many interactions the user had before; histories may hold the latest of them only.
    """

    histories: np.ndarray
    known: np.ndarray
    users: np.ndarray
    asked: np.ndarray
    shots: np.ndarray

    def __len__(self) -> int:
        return len(self.known)

    @property
    def lengths(self) -> np.ndarray:
        """int64 [N], items in the histories."""
        return (self.histories > 0).sum(1)

    def take(self, rows: np.ndarray | slice) -> Queries:
        """The queries `rows`, an index [k], a mask [N] or a slice."""
        return Queries(*(getattr(self, one.name)[rows] for one in fields(self)))


@dataclass(frozen=True)
class Cases:
    """N queries whose answers are known.

    Args:
        queries: the queries.
        targets: int64 [N], the items that were taken.
        numbers: int64 [N], the events that took them.
    """

    queries: Queries
    targets: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shots(self) -> np.ndarray:
        """int64 [N], interactions that the users had before."""
        return self.queries.shots

    def take(self, rows: np.ndarray | slice) -> Cases:
        """The cases `rows`, an index [k], a mask [N] or a slice."""
        return Cases(self.queries.take(rows), self.targets[rows], self.numbers[rows])

    def at_random(self, most: int, seed: int) -> Cases:
        """At most so many of them, in their order."""
        if len(self) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False)))


def cases_at(events: EventLog, numbers: np.ndarray, known: np.ndarray, longest: int = 50) -> Cases:
    """The cases of which events `numbers` [N] are the targets.

    Args:
        events: the log.
        numbers: int64 [N].
        known: int64 [N], see Queries.
        longest: histories are the latest so many interactions.
    """
    histories = histories_before(events, numbers, longest)
    shots = _places(events)[numbers]
    queries = Queries(histories, known, events.users[numbers], _latest_times(events, numbers), shots)
    return Cases(queries, events.items[numbers], numbers)


def histories_before(events: EventLog, numbers: np.ndarray, longest: int) -> np.ndarray:
    """What the events' users had taken before, int64 [N, L], oldest first, 0 pads at the end."""
    own = _places(events)
    order = np.argsort(events.users, kind="stable")
    rank = np.empty(len(events), dtype=np.int64)
    rank[order] = np.arange(len(events))
    lengths = np.minimum(own[numbers], longest)
    steps = np.arange(int(lengths.max(initial=1)))[None]
    valid = steps < lengths[:, None]
    rows = np.where(valid, rank[numbers][:, None] - lengths[:, None] + steps, 0)
    return np.where(valid, events.items[order][rows], 0)


def rolling_newcomers(
    past: EventLog,
    protocol: str,
    shots: Sequence[int],
    cuts: Sequence[float] = (0.5, 0.625, 0.75, 0.875),
    repeatable: bool = False,
    longest: int = 50,
) -> Cases:
    """The newcomers of earlier moments of a log, in order of what is known.

    A cut is the moment at which this share of the log's users had arrived. Its newcomers arrive later. With `online`
    they are those who arrive before the next cut, each once; with `frozen` all of them, as what is known then is all
    that will be. Nothing but the events of `past` is used.

    Args:
        past: the log up to T.
        protocol: one of `mml.data.moments.PROTOCOLS`.
        shots: after how many of their interactions they are asked.
        cuts: shares of the arrivals, in any order.
        repeatable: whether an item that the user had already may be a target.
        longest: histories are the latest so many interactions.
    """
    arrivals = _arrival_times(past)
    asked = np.isin(_places(past), np.asarray(shots))
    if not repeatable:
        asked &= first_of_pair(past)
    moments = np.quantile(arrivals[np.isfinite(arrivals)], np.sort(cuts)) if len(past) else np.zeros(0)
    found = []
    for begin, end in itertools.pairwise([*moments, np.inf]):
        arrival = arrivals[past.users]
        come = (arrival > begin) & ((arrival <= end) | (protocol == "frozen"))
        numbers = np.flatnonzero(asked & come)
        cut = int(np.searchsorted(past.times, begin, side="right"))
        known = past.known_before(numbers) if protocol == "online" else np.full(len(numbers), cut)
        found.append((numbers, known))
    nothing = np.zeros(0, dtype=np.int64)
    numbers, known = (np.concatenate(part) for part in zip((nothing, nothing), *found, strict=True))
    order = np.lexsort((numbers, known))
    return cases_at(past, numbers[order], known[order], longest)


def cases_after(events: EventLog, numbers: np.ndarray, n_past: int, protocol: str, longest: int = 50) -> Cases:
    """Cases after T under a protocol, in the order of `numbers`.

    Args:
        events: the whole log.
        numbers: int64 [N], the targets, all at or after event `n_past`.
        n_past: events up to T.
        protocol: one of `mml.data.moments.PROTOCOLS`.
        longest: histories are the latest so many interactions.
    """
    known = events.known_before(numbers) if protocol == "online" else np.full(len(numbers), n_past)
    return cases_at(events, numbers, known, longest)


def blocks_in_time(queries: Queries, size: int) -> Iterator[np.ndarray]:
    """The queries' places, at most `size` at a time, in order of what is known, so that counts are carried on."""
    order = np.argsort(queries.known, kind="stable")
    yield from (order[begin : begin + size] for begin in range(0, len(order), size))


def first_of_pair(events: EventLog) -> np.ndarray:
    """bool [n]: the event's user had not taken its item before."""
    key = events.users * (int(events.items.max(initial=0)) + 1) + events.items
    _, first = np.unique(key, return_index=True)
    result = np.zeros(len(events), dtype=bool)
    result[first] = True
    return result


def _places(events: EventLog) -> np.ndarray:
    """int64 [n], how many events of its user stand before each."""
    order = np.argsort(events.users, kind="stable")
    ordered = events.users[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    places = np.empty(len(events), dtype=np.int64)
    places[order] = np.arange(len(events)) - np.repeat(starts, np.diff([*starts, len(events)]))
    return places


def _latest_times(events: EventLog, numbers: np.ndarray) -> np.ndarray:
    """float64 [N], when the events' users had taken something before; NaN where it is their first."""
    order = np.argsort(events.users, kind="stable")
    is_first = np.diff(events.users[order], prepend=-1) != 0
    latest = np.empty(len(events))
    latest[order] = np.where(is_first, np.nan, np.roll(events.times[order], 1))
    return latest[numbers]


def _arrival_times(events: EventLog) -> np.ndarray:
    """float64 [n_users], of each user's first event; infinite for those without one."""
    result = np.full(int(events.users.max(initial=-1)) + 1, np.inf)
    np.minimum.at(result, events.users, events.times)
    return result
