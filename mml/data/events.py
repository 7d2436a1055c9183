"""The whole log as events in order of time: also what the split leaves out of the users' sequences."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mml.data.sequences import PackedSequences


@dataclass(frozen=True)
class WholeLog:
    """A log's rows before the split, in the file's order; what `MMLDataset` keeps of them.

    Args:
        users: int64 [n], arrival rank of each row's user, as in the split.
        items: object [n], item tokens, or their categorical.
        times: float64 [n]; the row number where the log has no time column.
    """

    users: np.ndarray
    items: object
    times: np.ndarray


@dataclass(frozen=True)
class EventLog:
    """All interactions of all users in order of time, those of one time by user, and a user's in the file's order.

    Args:
        users: int64 [n], arrival rank of the user: old users come first, then validation users, then new users.
        items: int64 [n], item ids as in the dataset.
        times: float64 [n], ascending.
        places: int64 [n], how many interactions the user had before, whether they are among the events or not.
        n_dropped: interactions with items that the dataset has no id for, as nobody may be recommended them: only old
            users' after T, and only where the item file does not list the item.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray
    places: np.ndarray
    n_dropped: int = 0

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def from_rows(cls, users: np.ndarray, items: np.ndarray, times: np.ndarray) -> EventLog:
        """The events of rows in the file's order, int64 [n], int64 [n], float64 [n]; item 0 is one without an id."""
        order = np.lexsort((users, times))
        users, items, times = users[order], items[order], times[order]
        by_user = np.argsort(users, kind="stable")
        places = np.empty(len(users), dtype=np.int64)
        places[by_user] = PackedSequences.from_sorted(users[by_user], items, int(users.max(initial=-1)) + 1).places
        kept = items > 0
        return cls(users[kept], items[kept], times[kept], places[kept], int((~kept).sum()))

    @classmethod
    def of_sequences(cls, sequences: PackedSequences, times: np.ndarray) -> EventLog:
        """The events of packed users, numbered by their place; times float64 [n_interactions]."""
        return cls.from_rows(sequences.owners, sequences.items, times)

    @cached_property
    def _by_user(self) -> tuple[np.ndarray, np.ndarray]:
        """The events' numbers sorted by user and place, and where each user's begin."""
        order = np.argsort(self.users, kind="stable")
        counts = np.bincount(self.users)
        return order, np.concatenate(([0], np.cumsum(counts)))

    def number_of(self, users: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The events that are interaction `places` (from 0) of the `users`, int64 [m] each -> int64 [m].

        Both must be of the split's rows, all of which have ids.
        """
        order, begin = self._by_user
        return order[begin[users] + places]

    def known_before(self, numbers: np.ndarray) -> np.ndarray:
        """How many events came before the time of each of the events `numbers`, none of the same time: int64 [m]."""
        return np.searchsorted(self.times, self.times[numbers], side="left")

    def times_of(self, sequences: PackedSequences, first_user: int) -> np.ndarray:
        """When the interactions of packed users came, whose arrival ranks begin with `first_user`; float64 [n]."""
        return self.times[self.number_of(first_user + sequences.owners, sequences.places)]

    def before(self, time: float) -> EventLog:
        """The events up to this time, itself included."""
        return self.first(int(np.searchsorted(self.times, time, side="right")))

    def first(self, n: int) -> EventLog:
        """The first n events."""
        return EventLog(self.users[:n], self.items[:n], self.times[:n], self.places[:n])

    @cached_property
    def taken(self) -> np.ndarray:
        """int64 [k], the items that have an event, ascending."""
        return np.flatnonzero(np.bincount(self.items))

    def first_touches(self, n_items: int) -> np.ndarray:
        """int64 [n_items], the number of each item's first event; the largest integer for none."""
        found = np.full(n_items, np.iinfo(np.int64).max)
        np.minimum.at(found, self.items, np.arange(len(self)))
        return found

    def followed_by(
        self,
        newer: PackedSequences,
        times: np.ndarray | None = None,
        users: np.ndarray | None = None,
        order: np.ndarray | None = None,
    ) -> EventLog:
        """These events and then newer ones, in order of their times; without any order as if all began at once.

        None comes before the last of these.

        Args:
            newer: the sequences of some users.
            times: float64 [n_interactions], when they came; None where that is not known: each a second after the last.
            users: int64 [n_users], the users' arrival ranks, of whom some may be among these, and go on; None for
                others, who come after them.
            order: float64 [n_interactions], what ascends with time where times are not given; None for nothing.
        """
        by_time = order if times is None else times
        order = np.argsort(newer.places if by_time is None else by_time, kind="stable")
        n_before = int(self.users.max(initial=-1)) + 1
        if users is None:
            users = n_before + np.arange(len(newer))
        had = np.zeros(max(n_before, int(users.max(initial=-1)) + 1), dtype=np.int64)
        np.maximum.at(had, self.users, self.places + 1)
        owners = users[newer.owners]
        last = float(self.times[-1]) if len(self) else 0.0
        own = last + 1 + np.arange(len(order)) if times is None else np.maximum(times[order], last)
        return EventLog(
            np.concatenate([self.users, owners[order]]),
            np.concatenate([self.items, newer.items[order]]),
            np.concatenate([self.times, own]),
            np.concatenate([self.places, (had[owners] + newer.places)[order]]),
        )

    def fingerprint(self) -> str:
        """Hash of all of it, times counted from the first one."""
        digest = hashlib.sha256()
        for array in (self.users, self.items, self.times - self.times[:1], self.places):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def sequences(self, n_users: int) -> tuple[PackedSequences, np.ndarray]:
        """The users below `n_users`, packed, and when each of their interactions came, float64 [n_interactions]."""
        order, begin = self._by_user
        own = order[: begin[min(n_users, len(begin) - 1)]]
        return PackedSequences.from_sorted(self.users[own], self.items[own], n_users), self.times[own]


def event_log(whole: WholeLog, ids: Mapping[str, int]) -> EventLog:
    """The events of a log whose item tokens have the given ids, 0 for those that have none."""
    codes, tokens = _factorised(whole.items)
    own = np.array([ids.get(token, 0) for token in tokens], dtype=np.int64)
    return EventLog.from_rows(whole.users, own[codes], whole.times)


def _factorised(tokens: object) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    codes, different = pd.factorize(tokens)  # type: ignore[call-overload]
    return codes, np.asarray(different, dtype=object)
